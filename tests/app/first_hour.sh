#!/usr/bin/env bash
# first_hour.sh R1: what a new user types in the first hour, and what he must see. Everything happens in a scratch folder on models that are made
# on the way; nothing is downloaded. An action is a line:
#   action NAME CODE PATTERN COMMAND...     runs COMMAND; its exit code fits CODE, and a line of its output (stdout and stderr) fits PATTERN
# Both are extended regular expressions; '!' in front of PATTERN: no line may fit. One action a behaviour.
set -u
r1=$1
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
mkdir bin models hub && ln -s "$r1" bin/r1
export PATH=$work/bin:$PATH R1_MODELS=$work/models HF_HUB_CACHE=$work/hub OMP_NUM_THREADS=1 LC_ALL=C.UTF-8
unset R1_CONFIG R1_DATA

actions=0 failures=0
action() {
  local name=$1 code=$2 pattern=$3 got wrong=''
  shift 3
  actions=$((actions + 1))
  "$@" > out 2>&1 < "${input:-/dev/null}"
  got=$?
  [[ $got =~ ^$code$ ]] || wrong="exit code $got, expected $code"
  case $pattern in
    '!'*) grep -qE -- "${pattern#!}" out && wrong="$wrong; a line fits '${pattern#!}'" ;;
    *) grep -qE -- "$pattern" out || wrong="$wrong; no line fits '$pattern'" ;;
  esac
  [ -z "$wrong" ] && return
  failures=$((failures + 1))
  printf 'FAILED %s: %s\n  %s\n' "$name" "${wrong#; }" "$*"
  sed 's/^/  | /' out | head -20
}
# With FILE as standard input.
with() { local input=$1; shift; "$@"; }
sh_() { bash -c "$1"; }

# ---- at the door ----
action "no words" 2 'usage: r1 <command>' r1
action "help" 0 '^  grpo ' r1 --help
action "version" 0 '^r1 [0-9]' r1 --version
action "help of a command" 0 '^usage: r1 sft' r1 help sft
action "a flag for help" 0 '--num_generations' r1 grpo --help
action "this machine" 0 '"libtorch"' r1 env --json
action "the manual" 0 '^\.TH R1 1' r1 man
action "completion is a script" 0 '^ok$' sh_ 'r1 completion bash > c && bash -n c && echo ok'
action "a full disk" 1 'cannot write to stdout' sh_ 'r1 options > /dev/full'

# ---- words of other programs ----
action "another server's name" 2 'r1 serve MODEL answers' r1 llama-server model.gguf
action "train" 2 'r1 sft .*r1 grpo' r1 train --config x.yaml
action "llama.cpp's quantizer" 2 'r1 quantize MODEL OUT.gguf q4_k_m' r1 llama-quantize in.gguf out.gguf q4_k_m
action "quantize" 2 'in.gguf does not exist' r1 quantize in.gguf out.gguf q4_k_m
action "a scheme that is not there" 2 'q4_k_m' r1 quantize in.gguf out.gguf q3_k_xl
action "export" 2 'r1 convert' r1 export model
action "finetune" 2 'r1 sft fine-tunes' r1 finetune
action "download" 2 'hf download' r1 download Qwen/Qwen3-0.6B
action "a misspelt command" 2 "did you mean 'generate'" r1 genrate
action "TRL's data" 2 "here it is 'train_files'" r1 sft --dataset_name trl-lib/Capybara
action "LoRA" 2 'LoRA and other adapters do not exist here yet' r1 sft --use_peft --lora_r 16
action "trackers" 2 'report.html' r1 grpo --report_to wandb
action "vLLM" 2 'engine.gpu_memory_utilization' r1 grpo --vllm_gpu_memory_utilization 0.3
action "quantized training" 2 'does not exist here yet' r1 sft --load_in_4bit
action "8 bit optimizer" 2 'in 8 bit do not exist here yet' r1 sft --optim adamw_8bit --output_dir o
action "layers on the GPU" 2 '--device cuda' r1 generate m.gguf -ngl 99
action "llama.cpp's context" 2 'engine.max_model_len' r1 generate m.gguf -c 4096
action "llama.cpp's -n" 2 '--max_new_tokens' r1 generate m.gguf -n 128
printf 'base_model: x\ndatasets:\n  - path: y\n    type: alpaca\n' > axolotl.yaml
action "axolotl's file" 2 "axolotl.yaml:1: .*here it is 'model_name_or_path'" r1 sft --config axolotl.yaml --output_dir o
action "a misspelt option" 2 "did you mean 'learning_rate'" r1 sft --learnig_rate 1e-5
action "a wrong value" 2 "expects float, got 'fast'" r1 sft --learning_rate fast
action "an option of nothing" 2 'unexpected argument' r1 env what

# ---- models ----
action "no models yet" 0 ': none$' r1 models
action "a model that is not here" 2 'does not exist.*r1 models lists' r1 chat smollm2
action "a model of the hub" 2 'hf download Qwen/Qwen3-0.6B' r1 chat Qwen/Qwen3-0.6B
action "a path that is not there" 2 '^error: model ./m.gguf does not exist$' r1 chat ./m.gguf
action "a preset has no weights" 2 'a shape without weights' r1 chat smollm2-135m
pretrain() { r1 pretrain --task arithmetic --preset tiny-test --max_length 64 --per_device_train_batch_size 2 --max_steps 3 "$@"; }
action "a first model" 0 'pretrain' pretrain --output_dir models/mine
action "once more" 0 '!error' pretrain --output_dir models/mine
action "it has a name now" 0 '^  mine +safetensors' r1 models
action "for scripts" 0 '"name":"mine"' r1 models --json
action "a name that is near" 2 "did you mean 'mine'" r1 generate mien --prompt 1
action "no charts in a log" 0 '!'$'\x1b' pretrain --output_dir o2
action "ASCII where the locale has no more" 0 '^ok$' sh_ 'LC_ALL=C r1 models > a; ! LC_ALL=C grep -q "[^ -~]" a && echo ok'

# ---- does it fit? ----
action "a small model fits" 0 ': fits' r1 plan tiny-test --memory 16GB
action "a large one does not" 1 'to make it fit|no option that r1 has' r1 plan sft qwen2.5-7b --gpu 4090
action "what helps" 1 '--gradient_checkpointing .*GiB' r1 plan sft qwen2.5-7b --gpu h100 --per_device_train_batch_size 64
action "what is not there" 0 'not in r1 yet: LoRA' r1 plan grpo qwen2.5-0.5b --gpu h100
action "conversations" 0 'of 8192 tokens +--engine.max_num_seqs' r1 plan serve qwen2.5-7b --gpu h100 --context 8192
action "a published name" 0 'preset qwen2.5-0.5b' r1 plan serve Qwen/Qwen2.5-0.5B-Instruct --gpu h100
action "a preset that is near" 2 "did you mean 'qwen2.5-0.5b'" r1 plan qwen2.5-0.6b
action "a card that is near" 2 "did you mean 'h100'" r1 plan tiny-test --gpu h1000

# ---- talking to it ----
echo '3+4:' > prompt.txt
action "a prompt" 0 '.' r1 generate mine --prompt 'start 3+4:' --max_new_tokens 4
with prompt.txt action "a prompt by pipe" 0 '.' r1 generate mine --max_new_tokens 4
action "no prompt" 2 'a prompt on standard input' r1 generate mine
with prompt.txt action "chat by pipe ends by itself" 0 '.' r1 chat mine --max_new_tokens 4
action "score" 0 'perplexity' r1 score mine --text '3+4:'
with prompt.txt action "score by pipe" 0 'perplexity' r1 score mine
action "tokens of a text" 0 '^\[[0-9,]+\]$' r1 tokenizer encode mine '3+4'
with prompt.txt action "tokens of lines" 0 '^\[[0-9,]+\]$' r1 tokenizer encode mine --plain
action "and back" 0 '^3\+4$' sh_ 'r1 tokenizer decode mine "$(r1 tokenizer encode mine 3+4)"'
action "another format" 0 'parameters' r1 convert mine o3

# ---- answers ----
action "right" 0 '^right: 0.5' r1 verify --gold '\frac12' --answer 'so it is \boxed{0.5}'
action "wrong, as an exit code" 1 '^wrong' r1 verify --gold 2 --answer 3 --exit_code verdict
echo '{"id":"q7","gold":"2","answer":"2"}' > pairs.jsonl
with pairs.jsonl action "an id comes back" 0 '^\{"id":"q7"' r1 verify --jsonl

# ---- data as people have it ----
sft() { r1 sft --model mine --prompt_format plain --max_steps 1 "$@"; }
echo '{"messages":[{"role":"user","content":"start 1+1:"},{"role":"assistant","content":"2"}]}' > chat.jsonl
echo '[{"instruction":"start 3+4:","input":"","output":"7"}]' > alpaca.json
printf 'frage,antwort\nstart 3+4:,7\n' > qa.csv
gzip -k chat.jsonl
: > empty.jsonl
action "own conversations, and one of them shown" 0 'the first document, [0-9]+ tokens' sft --train_files chat.jsonl --output_dir s1
action "a list of Alpaca's" 0 'done in' sft --train_files alpaca.json --output_dir s2
action "packed with gzip" 0 'done in' sft --train_files chat.jsonl.gz --output_dir s3
action "a table of other names" 1 'found: frage, antwort; .*--columns.prompt=KEY' sft --train_files qa.csv --output_dir s4
action "its columns named" 0 'done in' sft --train_files qa.csv --columns.prompt=frage --columns.completion=antwort --output_dir s4
action "no such files" '[12]' "no file matches 'nothing" sft --train_files 'nothing*.jsonl' --output_dir s5
action "an empty file" '[12]' 'empty.jsonl: holds no text' sft --train_files empty.jsonl --output_dir s5
action "no template is said" 0 'has no chat template' r1 sft --model mine --train_files chat.jsonl --max_steps 1 --output_dir s6

# ---- runs ----
action "what a run wrote" 0 '^report: s7/report.html' sft --train_files chat.jsonl --output_dir s7 --save_final_checkpoint
action "what comes next" 0 '^next: +r1 ' sft --train_files chat.jsonl --output_dir s8
action "no more steps without a checkpoint" 2 'save_final_checkpoint keeps one' r1 sft --model mine --prompt_format plain --train_files chat.jsonl --max_steps 2 --output_dir s8
action "more steps with one" 0 '^max_steps: 1 -> 2' r1 sft --model mine --prompt_format plain --train_files chat.jsonl --max_steps 2 --output_dir s7 --save_final_checkpoint
action "another config" 2 'preset: "tiny-test" -> "tiny-1m"' pretrain --output_dir models/mine --preset tiny-1m
grpo() { r1 grpo --model mine --prompt_format plain --max_steps 1 --max_completion_length 4 --num_generations 4 --per_device_train_batch_size 4 "$@"; }
echo '{"question":"start 1+1:","answer":"2"}' > problems.jsonl
action "rewards on own problems, in a sentence" 0 'each rollout samples 4 answers' grpo --train_files problems.jsonl --output_dir g1
action "no plots in a log" 0 '![▁▂▃▄▅▆▇█⡀⣀⠒]' grpo --train_files problems.jsonl --output_dir g2 --max_steps 3
printf 'output_dir: runs/r\nstages:\n  base: {stage: pretrain, task: arithmetic, preset: tiny-test, max_steps: 1, max_length: 64, per_device_train_batch_size: 2}\n' > r.yaml
printf '  test: {stage: eval, model: "${base}", task: arithmetic, limit: 2, max_completion_length: 4, require: accuracy>=0.99}\n' >> r.yaml
sed 's/max_steps/max_stesp/' r.yaml > typo.yaml
sed 's/{base}/{bsae}/' r.yaml > reference.yaml
action "a recipe's typo, by line" 2 "typo.yaml:3: unknown key 'max_stesp', did you mean 'max_steps'" r1 run typo.yaml
action "a recipe's reference" 2 "no earlier stage is called 'bsae', did you mean 'base'" r1 run reference.yaml
action "a recipe as it will run" 0 'max_steps: 1' r1 run r.yaml --print_config
action "a gate that fails is an object" 1 '"failed_gate":\{"stage":"test"' r1 run r.yaml --json
action "and leaves its report" 0 'report.html' ls runs/r

# ---- evaluation ----
evaluate() { r1 eval mine --task arithmetic --max_completion_length 4 --output_dir "$@"; }
action "numbers to read" 0 'accuracy +0\.[0-9]{3}  \(95 % interval' evaluate e1 --limit 4
action "cut answers are a warning" 0 'were cut off at 4 tokens.*--max_completion_length' evaluate e2 --limit 3
action "no result is written over" 2 '^limit: 4 -> 3' evaluate e1 --limit 3
action "wrong answers" 0 '^gold ' r1 eval show e1 --wrong 1
action "two side by side" 0 '^  accuracy +[0-9.]+ +[0-9.]+' r1 compare e1 e2
action "tasks with their files" 0 'example  r1 eval MODEL --task' r1 eval --list_tasks
action "help of a task" 0 'test.jsonl: question, answer' r1 eval --help gsm8k

echo "first hour: $actions actions, $failures failed, $SECONDS s"
exit $((failures > 0))
