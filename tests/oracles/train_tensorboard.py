"""Reads a run's event files with TensorBoard itself; prints {"scalars": {tag: [[step, value]]}, "texts": {tag: [[step, text]]}}."""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
events.Reload()
scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
texts = {}
for tag in events.Tags()["tensors"]:
    assert events.SummaryMetadata(tag).plugin_data.plugin_name == "text", tag
    texts[tag] = [[e.step, tensor_util.make_ndarray(e.tensor_proto)[0].decode()] for e in events.Tensors(tag)]
json.dump({"scalars": scalars, "texts": texts}, sys.stdout)
