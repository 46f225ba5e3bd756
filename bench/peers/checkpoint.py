"""The peer of bench/checkpoint.cc: torch.distributed.checkpoint on the tensors of a checkpoint that r1 wrote, the same JSON fields.

  bench_checkpoint --keep --folder F;  python bench/peers/checkpoint.py F/checkpoint-0 [--rounds 5] [--threads N] [--folder FOLDER]

save: dcp.save. stall: until dcp.async_save returns, which has copied the tensors then. Neither computes hashes of what it writes.
"""
import argparse
import glob
import json
import os
import shutil
import statistics
import time


def main():
    a = argparse.ArgumentParser()
    a.add_argument("checkpoint")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--threads", type=int, default=0)
    a.add_argument("--folder", default="bench_checkpoint_dcp")
    a = a.parse_args()
    if os.path.exists(a.folder):
        raise SystemExit(f"{a.folder} exists already: name a folder that the measurement may make")

    import torch
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from safetensors.torch import load_file

    if a.threads > 0:
        torch.set_num_threads(a.threads)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29731")
    dist.init_process_group("gloo", rank=0, world_size=1)
    state = {}
    for path in sorted(glob.glob(os.path.join(a.checkpoint, "*.safetensors"))):
        state.update(load_file(path))
    if not state:
        raise SystemExit(f"{a.checkpoint} holds no tensors")

    save, stall, beside = [], [], []
    for i in range(a.rounds + 1):
        start = time.perf_counter()
        dcp.save(state, checkpoint_id=os.path.join(a.folder, f"save-{i}"))
        save.append(time.perf_counter() - start)
        start = time.perf_counter()
        future = dcp.async_save(state, checkpoint_id=os.path.join(a.folder, f"async-{i}"))
        stall.append(time.perf_counter() - start)
        future.result()
        beside.append(time.perf_counter() - start)
        shutil.rmtree(a.folder)
    median = lambda times: 1e3 * statistics.median(times[1:])
    print(json.dumps({
        "what": "checkpoint", "program": f"torch {torch.__version__} distributed.checkpoint",
        "bytes": sum(t.numel() * t.element_size() for t in state.values()), "threads": torch.get_num_threads(),
        "save_ms": median(save), "stall_ms": median(stall), "first_stall_ms": 1e3 * stall[0], "beside_ms": median(beside),
        "ratio": median(stall) / median(save)}))
    dist.destroy_process_group()


main()
