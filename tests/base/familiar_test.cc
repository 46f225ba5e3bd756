// What somebody types who comes from another program, and what he is told.
#include "r1/base/familiar.h"

#include <gtest/gtest.h>

#include <set>

#include "r1/base/config_io.h"
#include "r1/base/error.h"

namespace r1 {
namespace {

struct Toy {
  std::string model_name_or_path, optim = "adamw";
  std::vector<std::string> train_files;
  int64_t max_length = 0, n = 1, per_device_train_batch_size = 1;
  void visit(Fields& v) {
    v("model_name_or_path", model_name_or_path, "model");
    v("train_files", train_files, "files");
    v("max_length", max_length, "tokens");
    v("n", n, "samples");
    v("per_device_train_batch_size", per_device_train_batch_size, "sequences");
    v("optim", optim, "optimizer", OneOf{"adamw", "muon"});
  }
};

std::string refusal(const std::vector<std::string>& arguments) {
  Toy toy;
  try {
    apply_settings(toy, parse_overrides(arguments));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

TEST(Familiar, TheAnswerIsWhatItIsCalledHere) {
  EXPECT_EQ(refusal({"--dataset_name=x"}),
            "--dataset_name: unknown key 'dataset_name': here it is 'train_files'; files on this machine (JSONL); nothing is downloaded");
  EXPECT_EQ(refusal({"--base-model", "x"}), "--base_model: unknown key 'base_model': here it is 'model_name_or_path'");
  EXPECT_EQ(refusal({"--micro_batch_size=2"}),
            "--micro_batch_size: unknown key 'micro_batch_size': here it is 'per_device_train_batch_size'");
  EXPECT_EQ(refusal({"--sequence_len=2"}), "--sequence_len: unknown key 'sequence_len': here it is 'max_length'");
  // A key of other commands.
  EXPECT_EQ(refusal({"--n_predict=2"}),
            "--n_predict: unknown key 'n_predict': elsewhere in r1 it is 'max_new_tokens', but there is none here");
  // Misspelt names of our own still get the nearest.
  EXPECT_EQ(refusal({"--max_lenght=2"}), "--max_lenght: unknown key 'max_lenght', did you mean 'max_length'?");
}

TEST(Familiar, OrThatThereIsNoSuchThingYet) {
  for (const char* option : {"--use_lora", "--use_peft", "--lora_r=8", "--lora_target_modules=q", "--adapter=lora"})
    EXPECT_NE(refusal({option}).find("LoRA and other adapters do not exist here yet"), std::string::npos) << option;
  for (const char* option :
       {"--report_to=wandb", "--wandb_project=p", "--push_to_hub", "--hub_model_id=a", "--load_in_4bit", "--deepspeed=z.json",
        "--vllm_mode=colocate", "--use_vllm", "--fsdp=full", "--trust_remote_code", "--host=0.0.0.0"}) {
    const std::string text = refusal({option});
    EXPECT_NE(text.find("unknown key"), std::string::npos) << option;
    EXPECT_EQ(text.find("did you mean"), std::string::npos) << text;
    EXPECT_GT(text.size(), 60u) << text;
  }
  EXPECT_NE(refusal({"--optim=adamw_8bit"}).find("8 bit do not exist here yet"), std::string::npos);
  EXPECT_NE(refusal({"--optim=adamw_torch_fused"}).find("write adamw"), std::string::npos);
  EXPECT_NE(refusal({"--optim=adamv"}).find("did you mean 'adamw'?"), std::string::npos);
}

TEST(Familiar, TypesOfACache) {
  for (const char* option : {"-ctk", "-ctv", "--cache_type_k=q8_0", "--kv_cache_dtype=fp8", "--kv_bits=8"})
    EXPECT_NE(refusal({option}).find("engine.kv_cache_dtype"), std::string::npos) << option;
  for (const char* value : {"q4_0", "q4_1", "iq4_nl"})
    EXPECT_NE(familiar_value("engine.kv_cache_dtype", value).find("write int4"), std::string::npos) << value;
  for (const char* value : {"q8_0", "q5_1", "fp8", "fp8_e4m3"})
    EXPECT_NE(familiar_value("engine.kv_cache_dtype", value).find("write int8"), std::string::npos) << value;
  EXPECT_EQ(familiar_value("kv_cache_dtype", "f32"), "write float32");
  EXPECT_EQ(familiar_value("engine.kv_cache_dtype", "f16"), "write bfloat16");
  EXPECT_EQ(familiar_value("engine.kv_cache_dtype", "int7"), "");
}

// llama.cpp's options of one dash.
TEST(Familiar, OneDash) {
  EXPECT_NE(refusal({"-ngl", "99"}).find("--device cuda"), std::string::npos);
  EXPECT_NE(refusal({"--max_length", "3", "-ngl", "99"}).find("--device cuda"), std::string::npos);  // no value of max_length
  EXPECT_NE(refusal({"-c", "4096"}).find("engine.max_model_len"), std::string::npos);
  EXPECT_NE(refusal({"-n", "128"}).find("--max_new_tokens"), std::string::npos);  // not 128 samples
  EXPECT_EQ(refusal({"--n", "2"}), "");
  EXPECT_NE(refusal({"-m", "x.gguf"}).find("model_name_or_path"), std::string::npos);
}

TEST(Familiar, NamesStandOnce) {
  std::set<std::string> names;
  for (const FamiliarOption& o : familiar_options()) {
    EXPECT_TRUE(names.insert(o.name).second) << o.name;
    EXPECT_TRUE(!o.ours.empty() || *o.note) << o.name;
    const std::string answer = familiar_option(o.name, {});
    EXPECT_FALSE(answer.empty()) << o.name;
  }
}

TEST(Familiar, ConfigFilesAreAnsweredToo) {
  Toy toy;
  try {
    apply_settings(toy, parse_yaml("base_model: x\n", "axolotl.yaml"));
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "axolotl.yaml:1: unknown key 'base_model': here it is 'model_name_or_path'");
  }
}

}  // namespace
}  // namespace r1
