"""Training by several processes, on one machine or on many, over MPI.

A script stays as it is; ``mpiexec -n 4 python train.py`` runs it four times, and each process (rank) computes a share
of every batch:

>>> import pynn
>>> pynn.distributed.info().ranks  # one, unless pynn.distributed.start() found more
1

What is computed depends on the number of *segments* into which a batch is cut, and not on how many ranks share them: 8
segments give the same weights, bit for bit, on 1, 2, 4 and 8 ranks. It needs the extra ``mpi``:
``pip install "pynn-dl[mpi]"``; see the guide, "Several machines".
"""

from __future__ import annotations

from pynn.distributed.joined import barrier, info
from pynn.distributed.shards import Shards
from pynn.distributed.starting import Info, start
from pynn.distributed.waiting import LostRankError

__all__ = ["Info", "LostRankError", "Shards", "barrier", "info", "start"]
