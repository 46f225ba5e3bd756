#!/usr/bin/env python3
"""Clients that were not written for r1, against `r1 serve` with a real model: the openai package, lm-eval's local-completions and
local-chat-completions, schemathesis over /openapi.json, promtool over /metrics, and the curl lines of docs/serve.md.

    clients.py R1 MODEL          R1: the program; MODEL: SmolLM2-135M-Instruct as GGUF

Each part that its package is missing for is skipped, and says so. Prints one line a part; exit code 1 if one fails, 77 if none fails and one is skipped."""
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
R1, MODEL = sys.argv[1], sys.argv[2]
WORK = pathlib.Path(tempfile.mkdtemp(prefix="r1_clients_"))
NAME = "smollm2"


class Skip(Exception):
    pass


def needs(module):
    if importlib.util.find_spec(module) is None:
        raise Skip(f"no Python package {module}")


def tool(name):
    """A program beside this Python, where scripts/setup.sh oracle puts it, or on the PATH."""
    found = shutil.which(name, path=os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if not found:
        raise Skip(f"no {name}")
    return found


def start():
    # A file, not a pipe: nobody reads on.
    log = open(WORK / "serve.log", "w")
    process = subprocess.Popen([R1, "serve", MODEL, "--port=0", "--json", f"--served_model_name={NAME}", f"--conversations={WORK / 'chat.sqlite'}",
                                "--engine.max_num_seqs=16", "--engine.max_model_len=512", "--max_tokens_default=32"], stdout=subprocess.PIPE, stderr=log, text=True)
    for line in process.stdout:
        said = json.loads(line)
        if said["state"] == "ready":
            return process, said["address"]
    sys.exit("the server did not start:\n" + (WORK / "serve.log").read_text())


def get(path):
    with urllib.request.urlopen(BASE + path, timeout=60) as answer:
        return answer.read().decode()


def score(text):
    out = subprocess.run([R1, "score", MODEL, "--json", f"--text={text}"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


# ---- the openai package
def openai_client():
    needs("openai")
    import openai
    client = openai.OpenAI(base_url=BASE + "/v1", api_key="none")
    assert [m.id for m in client.models.list().data] == [NAME]
    ask = [{"role": "user", "content": "What is 2+2? Answer with the number."}]

    whole = client.chat.completions.create(model=NAME, messages=ask, temperature=0, max_tokens=24, logprobs=True, top_logprobs=2)
    choice = whole.choices[0]
    assert choice.finish_reason in ("stop", "length") and choice.message.role == "assistant" and choice.message.content
    assert len(choice.logprobs.content) == whole.usage.completion_tokens
    assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in choice.logprobs.content)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    pieces, role, finish, usage = [], None, None, None
    for chunk in client.chat.completions.create(model=NAME, messages=ask, temperature=0, max_tokens=24, stream=True, stream_options={"include_usage": True}):
        if chunk.usage:
            usage = chunk.usage
        for c in chunk.choices:
            role = role or c.delta.role
            pieces.append(c.delta.content or "")
            finish = finish or c.finish_reason
    assert "".join(pieces) == choice.message.content, ("".join(pieces), choice.message.content)
    assert role == "assistant" and finish == choice.finish_reason and usage.completion_tokens == whole.usage.completion_tokens

    three = client.chat.completions.create(model=NAME, messages=ask, n=3, seed=7, max_tokens=8)
    again = client.chat.completions.create(model=NAME, messages=ask, n=3, seed=7, max_tokens=8)
    assert [c.message.content for c in three.choices] == [c.message.content for c in again.choices] and len({c.index for c in three.choices}) == 3

    done = client.completions.create(model=NAME, prompt=["The capital of France is", "One, two, three,"], temperature=0, max_tokens=6, stop=["\n"])
    assert [c.index for c in done.choices] == [0, 1] and "Paris" in done.choices[0].text, done.choices

    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer", "minimum": 0}},
              "required": ["city", "people"], "additionalProperties": False}
    held = client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "Name a city and its population as JSON."}], max_tokens=80, temperature=0,
                                          response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}})
    value = json.loads(held.choices[0].message.content)
    assert set(value) == {"city", "people"} and isinstance(value["people"], int), value

    tools = [{"type": "function", "function": {"name": "weather", "description": "the weather of a place", "parameters": {
        "type": "object", "properties": {"place": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["place"], "additionalProperties": False}}}]
    for how in ("required", {"type": "function", "function": {"name": "weather"}}):
        called = client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "Weather in Rome?"}], tools=tools, tool_choice=how,
                                                parallel_tool_calls=False, temperature=0, max_tokens=60).choices[0]
        call = called.message.tool_calls[0]
        assert call.function.name == "weather" and json.loads(call.function.arguments)["place"] in ("Paris", "Rome"), called
        assert called.finish_reason == "tool_calls", called.finish_reason

    vectors = client.embeddings.create(model=NAME, input=["a cat", "a dog"])
    assert len(vectors.data) == 2 and len(vectors.data[0].embedding) == len(vectors.data[1].embedding) > 100

    answer = client.responses.create(model=NAME, input="Say hello.", max_output_tokens=16)
    assert answer.status in ("completed", "incomplete") and answer.output_text
    kinds = [event.type for event in client.responses.create(model=NAME, input="Say hello.", max_output_tokens=8, stream=True)]
    assert kinds[0] == "response.created" and kinds[-1] in ("response.completed", "response.incomplete"), kinds

    for wrong, status in ((dict(temperature=-1), 400), (dict(max_tokens=0), 400), (dict(messages=[]), 400)):
        try:
            client.chat.completions.create(**{"model": NAME, "messages": ask, "max_tokens": 4, **wrong})
            raise AssertionError(f"{wrong} was taken")
        except openai.APIStatusError as error:
            assert error.status_code == status and error.body["message"], (wrong, error)
    try:
        client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "word " * 5000}])
        raise AssertionError("a prompt over the context was taken")
    except openai.BadRequestError as error:
        assert error.code == "context_length_exceeded", error
    return "chat, streams, n, seeds, schema, tools, completions, embeddings, responses, errors"


# ---- lm-eval over a task of our own
def lm_eval():
    needs("lm_eval")
    rows = [{"question": "The capital of France is", "choices": [" Paris", " Rome", " Berlin"], "gold": 0},
            {"question": "Two plus two is", "choices": [" five", " four", " nine"], "gold": 1},
            {"question": "The sky is", "choices": [" green", " loud", " blue"], "gold": 2}]
    data = WORK / "task.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    task = WORK / "tasks"
    task.mkdir()
    common = f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {data}\ntest_split: test\n"
    (task / "choice.yaml").write_text("task: r1_choice\n" + common + "output_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_choice: '{{choices}}'\n"
                                      "doc_to_target: gold\ntarget_delimiter: ''\nmetric_list:\n  - metric: acc\n")
    (task / "write.yaml").write_text("task: r1_write\n" + common + "output_type: generate_until\ndoc_to_text: '{{question}}'\ndoc_to_target: '{{choices[gold]}}'\n"
                                     "generation_kwargs:\n  until: ['\\n']\n  max_gen_toks: 8\n  do_sample: false\nmetric_list:\n  - metric: exact_match\n")
    folder = WORK / "hf"
    subprocess.run([R1, "convert", MODEL, f"--output_dir={folder}", "--quiet"], check=True, capture_output=True)
    import lm_eval
    from lm_eval.tasks import TaskManager
    manager = TaskManager(include_path=str(task))
    arguments = f"model={NAME},base_url={BASE}/v1/completions,num_concurrent=2,max_retries=1,tokenized_requests=False,tokenizer_backend=huggingface,tokenizer={folder}"
    result = lm_eval.simple_evaluate(model="local-completions", model_args=arguments, tasks=["r1_choice", "r1_write"], task_manager=manager, log_samples=True,
                                     bootstrap_iters=0)
    worst = 0
    for sample in result["samples"]["r1_choice"]:
        row = sample["doc"]
        for choice, answer in zip(row["choices"], sample["filtered_resps"]):
            both, question = score(row["question"] + choice), score(row["question"])
            expected = sum(both["logprobs"][len(question["ids"]):])
            worst = max(worst, abs(expected - float(answer[0])))
    assert worst < 1e-4, f"log-probabilities differ from r1 score by {worst}"
    accuracy = result["results"]["r1_choice"]["acc,none"]
    assert all(s["resps"][0][0] for s in result["samples"]["r1_write"])
    chat = lm_eval.simple_evaluate(model="local-chat-completions", model_args=f"model={NAME},base_url={BASE}/v1/chat/completions,num_concurrent=2,max_retries=1",
                                   tasks=["r1_write"], task_manager=manager, apply_chat_template=True, log_samples=True, bootstrap_iters=0)
    assert all(s["resps"][0][0] for s in chat["samples"]["r1_write"])
    return f"log-probabilities within {worst:.1e} of r1 score, accuracy {accuracy:.2f}"


# ---- the published schema
def schema():
    program = tool("schemathesis")
    run = subprocess.run([program, "run", BASE + "/openapi.json", "--checks=not_a_server_error", "--max-examples=" + os.environ.get("R1_SCHEMA_EXAMPLES", "4"),
                          "--request-timeout=120", "--workers=2", "--phases=fuzzing", "--seed=1", "--no-color"],
                         capture_output=True, text=True, cwd=WORK)
    (WORK / "schemathesis.log").write_text(run.stdout + run.stderr)
    lines = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    assert run.returncode == 0, "\n".join(lines[-60:])
    return next((line for line in reversed(lines) if "generated" in line), lines[-1])


def metrics():
    text = get("/metrics")
    for name in ("r1_num_requests_waiting", "vllm:num_requests_running", "vllm:time_to_first_token_seconds_bucket", "r1_generation_tokens_total"):
        assert name in text, name
    run = subprocess.run([tool("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
    # promtool's advice on names (exit code 3) is not about ours alone: vLLM's have a colon.
    assert run.returncode in (0, 3) and "error" not in run.stderr.lower(), run.stderr
    return f"{len(text.splitlines())} lines"


# ---- the documentation's own lines
def curl_lines():
    if not shutil.which("curl"):
        raise Skip("no curl")
    text = (ROOT / "docs/serve.md").read_text()
    lines, count = [], 0
    for block in text.split("```")[1::2]:
        for command in block.replace("\\\n", " ").splitlines():
            if command.strip().startswith("curl "):
                lines.append(command.strip())
    assert len(lines) >= 6, "docs/serve.md shows too few curl lines"
    for line in lines:
        run = subprocess.run(["bash", "-c", line.replace("http://127.0.0.1:8080", BASE).replace("curl ", "curl -sS --fail-with-body -m 120 ", 1)], capture_output=True, text=True)
        assert run.returncode == 0 and run.stdout.strip(), f"{line}\n{run.stdout}{run.stderr}"
        count += 1
    return f"{count} lines"


def main():
    failed = skipped = 0
    for part in (openai_client, lm_eval, schema, metrics, curl_lines):
        begun = time.time()
        try:
            print(f"{part.__name__}: ok, {part()}, {time.time() - begun:.0f} s", flush=True)
        except Skip as why:
            skipped += 1
            print(f"{part.__name__}: skipped, {why}", flush=True)
        except Exception as error:  # each part by itself
            failed += 1
            print(f"{part.__name__}: FAILED: {type(error).__name__}: {error}", flush=True)
        assert server.poll() is None, "the server has died:\n" + (WORK / "serve.log").read_text()[-4000:]
    server.terminate()
    code = server.wait(timeout=60)
    if code != 0:
        failed += 1
        print(f"the server ended with {code}")
    if not failed:
        shutil.rmtree(WORK)
    sys.exit(1 if failed else 77 if skipped else 0)


server, BASE = start()
try:
    main()
finally:
    if server.poll() is None:
        server.kill()
