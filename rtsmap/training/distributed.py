"""The processes that train together: one, or as many as `torchrun` started."""

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

#: While the first process validates, the others wait this long for it.
PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that train one network.

    Attributes:
        rank: of this process, from 0.
        count: of processes.
        device: on which this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_main_process(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, network: nn.Module) -> nn.Module:
        """The network, with gradients averaged over all processes."""
        if self.count == 1:
            return network
        return DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def gather(self, value: Any) -> list[Any]:
        """The value of every process."""
        values = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value)
        return values


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the others that `torchrun` started, or be alone.

    Args:
        device: `auto`, `cpu` or `cuda`; of several GPUs each process takes its own.

    Raises:
        InputError: CUDA is asked for and there is none.
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
