"""The processes that train one network: a single process, or those that `torchrun` started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from rtsmap.network.device import resolve_device

#: How long the other processes wait for the main process while it validates.
PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Processes:
    """This process among those that train one network.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
        device: the device of this process.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes the files and the messages."""
        return self.rank == 0

    def share(self, network: nn.Module) -> nn.Module:
        """Wrap the network so that gradients are averaged over all processes."""
        if self.count == 1:
            return network
        return DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.count > 1:
            distributed.barrier()

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes."""
        values = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value)
        return values


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the group of processes that `torchrun` started, if it did.

    Args:
        device: `auto`, `cpu` or `cuda`; with several GPUs each process uses another one.

    Yields:
        This process and the group.

    Raises:
        InputError: CUDA was requested and is not available.
    """
    chosen = resolve_device(device)
    if (count := int(os.environ.get("WORLD_SIZE", "1"))) == 1:
        yield Processes(0, 1, chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()
