// The table of commands, in the order --help shows them.
#include "r1/app/command.h"

namespace r1::app {

Command cmd_run();
Command cmd_pretrain();
Command cmd_sft();
Command cmd_distill();
Command cmd_grpo();
Command cmd_rejection();
Command cmd_launch();
Command cmd_eval_show();
Command cmd_eval();
Command cmd_compare();
Command cmd_table();
Command cmd_runs();
Command cmd_data_fetch();
Command cmd_data_run();
Command cmd_data_merge();
Command cmd_data_report();
Command cmd_data_mix();
Command cmd_data_kinds();
Command cmd_data_language();
Command cmd_data_ngram_train();
Command cmd_data_classifier_train();
Command cmd_preprocess();
Command cmd_tokenizer_encode();
Command cmd_tokenizer_decode();
Command cmd_tokenizer_render();
Command cmd_tokenizer_train();
Command cmd_generate();
Command cmd_chat();
Command cmd_serve();
Command cmd_code_complete();
Command cmd_code_tests();
Command cmd_score();
Command cmd_intent_train();
Command cmd_intent_eval();
Command cmd_intent_classify();
Command cmd_prune();
Command cmd_convert();
Command cmd_quantize();
Command cmd_models();
Command cmd_plan();
Command cmd_verify();
Command cmd_judge();
Command cmd_sandbox_doctor();
Command cmd_sandbox_run();
Command cmd_env();
Command cmd_options();
Command cmd_completion();
Command cmd_man();

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      cmd_run(),
      cmd_pretrain(),
      cmd_sft(),
      cmd_distill(),
      cmd_grpo(),
      cmd_rejection(),
      cmd_launch(),
      cmd_eval_show(),  // before "eval", whose name it begins with
      cmd_eval(),
      cmd_compare(),
      cmd_table(),
      cmd_runs(),
      cmd_data_fetch(),
      cmd_data_run(),
      cmd_data_merge(),
      cmd_data_report(),
      cmd_data_mix(),
      cmd_data_kinds(),
      cmd_data_language(),
      cmd_data_ngram_train(),
      cmd_data_classifier_train(),
      cmd_preprocess(),
      cmd_tokenizer_encode(),
      cmd_tokenizer_decode(),
      cmd_tokenizer_render(),
      cmd_tokenizer_train(),
      cmd_generate(),
      cmd_chat(),
      cmd_serve(),
      cmd_code_complete(),
      cmd_code_tests(),
      cmd_score(),
      cmd_intent_train(),
      cmd_intent_eval(),
      cmd_intent_classify(),
      cmd_prune(),
      cmd_convert(),
      cmd_quantize(),
      cmd_models(),
      cmd_plan(),
      cmd_verify(),
      cmd_judge(),
      cmd_sandbox_doctor(),
      cmd_sandbox_run(),
      cmd_env(),
      cmd_options(),
      cmd_completion(),
      cmd_man(),
  };
  return all;
}

}  // namespace r1::app
