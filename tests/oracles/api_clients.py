#!/usr/bin/env python3
"""Reads golden answers of our protocols with the peers' own clients: api_clients.py FOLDER, with the files that tests/api/clients_test.cc writes.
Prints one JSON object of what the clients understood. Exits with 77 where a client is not installed at all; one that is there but has not what is
taken from it here is a failure."""
import importlib.util
import json
import pathlib
import sys

missing = [name for name in ("anthropic", "httpx2", "ollama", "openai", "tritonclient") if importlib.util.find_spec(name) is None]
if missing:
    print("not installed:", ", ".join(missing), file=sys.stderr)
    sys.exit(77)

import anthropic
import httpx2
import numpy
import ollama
import openai
import pydantic
from tritonclient.http import InferInput, InferRequestedOutput, InferResult, InferenceServerClient

folder = pathlib.Path(sys.argv[1])


def client_of(module, body, content_type):
    """The module's client, over a transport that answers everything with `body`."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, headers={"content-type": content_type}, content=body))
    return module(api_key="none", base_url="http://test", max_retries=0, http_client=httpx2.Client(transport=transport))


def strict(model, value):
    """Validated as the types say, which the clients themselves don't do."""
    return pydantic.TypeAdapter(model).validate_python(value)


def read_anthropic():
    whole = json.loads((folder / "anthropic.json").read_text())
    strict(anthropic.types.Message, whole)
    client = client_of(anthropic.Anthropic, (folder / "anthropic.sse").read_bytes(), "text/event-stream")
    ask = {"model": "tiny", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    for event in client.messages.create(stream=True, **ask):
        strict(anthropic.types.RawMessageStreamEvent, event.to_dict())
    with client.messages.stream(**ask) as stream:
        message = stream.get_final_message()
    return [
        [block.type, getattr(block, "thinking", None) or getattr(block, "text", None) or block.input] for block in message.content
    ] + [message.stop_reason, message.usage.output_tokens]


def read_responses():
    whole = json.loads((folder / "responses.json").read_text())
    strict(openai.types.responses.Response, whole)
    client = client_of(openai.OpenAI, (folder / "responses.sse").read_bytes(), "text/event-stream")
    numbers = []
    for event in client.responses.create(model="tiny", input="hi", stream=True):
        strict(openai.types.responses.ResponseStreamEvent, event.to_dict())
        numbers.append(event.sequence_number)
    assert numbers == list(range(len(numbers))), numbers
    with client.responses.stream(model="tiny", input="hi") as stream:
        response = stream.get_final_response()
    calls = [[item.name, item.arguments] for item in response.output if item.type == "function_call"]
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.content]
    return [thoughts, response.output_text, calls, response.usage.total_tokens]


def read_ollama():
    whole = ollama.ChatResponse(**json.loads((folder / "ollama.json").read_text()))
    text, thought, calls = "", "", []
    for line in (folder / "ollama.ndjson").read_text().splitlines():
        part = ollama.ChatResponse(**json.loads(line))
        text += part.message.content or ""
        thought += part.message.thinking or ""
        calls += [[call.function.name, dict(call.function.arguments)] for call in part.message.tool_calls or []]
    assert whole.message.content == text and whole.message.thinking == thought
    ollama.ListResponse(**json.loads((folder / "tags.json").read_text()))
    ollama.ProcessResponse(**json.loads((folder / "ps.json").read_text()))
    ollama.ShowResponse(**json.loads((folder / "show.json").read_text()))
    return [thought, text, calls, part.done_reason, part.eval_count]


def read_triton():
    ids = numpy.array([[0, 1]], dtype=numpy.int64)
    tensor = InferInput("input_ids", ids.shape, "INT64")
    tensor.set_data_from_numpy(ids)
    body, length = InferenceServerClient.generate_request_body([tensor], outputs=[InferRequestedOutput("logits", binary_data=True)])
    # Written again with what the client's library makes of the request, for the test to read.
    (folder / "triton_request.bin").write_bytes(body)
    (folder / "triton_request.length").write_text(str(length))
    out = []
    for name in ("triton_binary", "triton_json"):
        length_file = folder / (name + ".length")
        length = int(length_file.read_text()) if length_file.exists() else None
        result = InferResult.from_response_body((folder / (name + ".bin")).read_bytes(), header_length=length)
        out.append(result.as_numpy("logits").tolist())
    texts = InferResult.from_response_body((folder / "triton_text.bin").read_bytes(), header_length=int((folder / "triton_text.length").read_text()))
    return out + [[text.decode() for text in texts.as_numpy("text_output").tolist()]]


print(json.dumps({"anthropic": read_anthropic(), "responses": read_responses(), "ollama": read_ollama(), "triton": read_triton()}))
