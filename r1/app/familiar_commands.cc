#include "r1/app/familiar_commands.h"

namespace r1::app {
namespace {

struct Row {
  std::string_view name, answer;
};

constexpr std::string_view kServe = "r1 serve MODEL answers the clients of OpenAI, Anthropic, Ollama and Triton, and has a chat page";
constexpr std::string_view kTrain =
    "which training? r1 pretrain (text), r1 sft (conversations), r1 grpo (rewards), r1 run RECIPE (several stages)";
constexpr std::string_view kDownload = "nothing is downloaded: `hf download ORG/NAME` does, and r1 models lists what is here";
constexpr std::string_view kQuantize =
    "r1 quantize MODEL OUT.gguf q4_k_m, or --scheme gptq-4 --output_dir FOLDER; importances come from --data";
constexpr std::string_view kConvert = "r1 convert MODEL FOLDER writes a Hugging Face folder, r1 quantize MODEL OUT.gguf bf16 a GGUF file";
constexpr std::string_view kPreferences = "learning from preferences does not exist here; r1 grpo learns from rewards";
constexpr std::string_view kLora = "adapters do not exist here yet, so there is nothing to merge; a run's folder is a whole model";
constexpr std::string_view kGenerate = "r1 generate MODEL --prompt TEXT";
constexpr std::string_view kDevices = "r1 runs in one process on one device; several GPUs do not exist here yet";
constexpr std::string_view kEval = "r1 eval MODEL --task TASK (r1 eval --list_tasks)";
constexpr std::string_view kHub = "nothing is uploaded; a run's folder has the layout that `hf upload` takes";

constexpr Row kRows[] = {
    {"server", kServe},
    {"api", kServe},
    {"vllm-serve", kServe},
    {"llama-server", kServe},
    {"vllm", kServe},
    {"ollama", "r1 chat MODEL talks to a model, r1 models lists what is here, r1 serve MODEL speaks its API"},
    {"llama-cli", "r1 chat MODEL talks to a model, r1 generate MODEL --prompt TEXT answers once"},
    {"llama-perplexity", "r1 score MODEL gives the log-probabilities of a text"},
    {"llama-quantize", kQuantize},
    {"llama-tokenize", "r1 tokenizer encode MODEL TEXT"},
    {"convert_hf_to_gguf.py", kConvert},
    {"lighteval", kEval},
    {"trl", kTrain},
    {"axolotl", kTrain},
    {"deepspeed", kDevices},
    {"hf", kDownload},
    {"train", kTrain},
    {"training", kTrain},
    {"trainer", kTrain},
    {"finetune", "r1 sft fine-tunes on conversations, r1 grpo on rewards"},
    {"fine-tune", "r1 sft fine-tunes on conversations, r1 grpo on rewards"},
    {"fine_tune", "r1 sft fine-tunes on conversations, r1 grpo on rewards"},
    {"tune", "r1 sft fine-tunes on conversations, r1 grpo on rewards"},
    {"instruct", "r1 sft fine-tunes on conversations"},
    {"rl", "r1 grpo learns from rewards"},
    {"ppo", "PPO does not exist here; r1 grpo learns from rewards without a value network"},
    {"rloo", "r1 grpo learns from rewards, with the group as its baseline"},
    {"reinforce", "r1 grpo learns from rewards, with the group as its baseline"},
    {"dapo", "r1 grpo --loss_type dapo"},
    {"dpo", kPreferences},
    {"orpo", kPreferences},
    {"kto", kPreferences},
    {"reward", "training a reward model does not exist here; r1 grpo takes rules and programs as rewards (docs/rewards.md)"},
    {"distill", "r1 rejection keeps a teacher's right answers, r1 sft trains a student on them"},
    {"download", kDownload},
    {"pull", kDownload},
    {"fetch", kDownload},
    {"push", kHub},
    {"upload", kHub},
    {"quant", kQuantize},
    {"gptqmodel", kQuantize},
    {"awq", kQuantize},
    {"imatrix", kQuantize},
    {"export", kConvert},
    {"export-lora", kLora},
    {"save", kConvert},
    {"convert-hf-to-gguf", kConvert},
    {"gguf", kConvert},
    {"merge", kLora},
    {"merge-lora", kLora},
    {"merge-sharded-fsdp-weights", kDevices},
    {"launch", kDevices},
    {"accelerate", kDevices},
    {"torchrun", kDevices},
    {"main", kGenerate},
    {"cli", kGenerate},
    {"infer", kGenerate},
    {"inference", kGenerate},
    {"predict", kGenerate},
    {"complete", kGenerate},
    {"sample", kGenerate},
    {"prompt", kGenerate},
    {"repl", "r1 chat MODEL"},
    {"talk", "r1 chat MODEL"},
    {"perplexity", "r1 score MODEL --file TEXT"},
    {"logprobs", "r1 score MODEL --text TEXT --json"},
    {"embedding", "embeddings of text do not exist here yet"},
    {"embed", "embeddings of text do not exist here yet"},
    {"rerank", "ranking of texts does not exist here"},
    {"bench", "there is no command for it; the programs in bench/ measure, and r1 chat says its rate on a terminal"},
    {"benchmark", kEval},
    {"lm_eval", kEval},
    {"lm-eval", kEval},
    {"test", kEval},
    {"tasks", "r1 eval --list_tasks"},
    {"list", "r1 models lists the models on this machine, r1 eval --list_tasks the tasks"},
    {"ls", "r1 models lists the models on this machine, r1 eval --list_tasks the tasks"},
    {"presets", "r1 models lists them, beside the models on this machine"},
    {"estimate", "r1 plan"},
    {"estimate-memory", "r1 plan"},
    {"memory", "r1 plan"},
    {"fit", "r1 plan"},
    {"prepare",
     "r1 data run makes documents of raw files, r1 preprocess does it with few options; tokens are made by the stages themselves"},
    {"encode", "r1 tokenizer encode"},
    {"decode", "r1 tokenizer decode"},
    {"detokenize", "r1 tokenizer decode"},
    {"config", "any command with --print_config"},
    {"doctor", "r1 env says what this machine and build can do, r1 sandbox doctor what protects you"},
    {"info", "r1 env says what this machine and build can do"},
    {"login", "nothing is downloaded or uploaded, so there is nobody to log in to"},
    {"report", "every run writes report.html into its output_dir"},
    {"tensorboard", "runs write TensorBoard events into their output_dir"},
};

}  // namespace

std::string familiar_command(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return std::string(row.answer);
  }
  return "";
}

}  // namespace r1::app
