"""Types of the compiled core (csrc/bindings.cpp). Arrays come as addresses; 0 is null."""

def isas() -> list[str]: ...
def isa() -> str: ...
def select(name: str) -> None: ...
def forward(
    cell: str,
    threads: int,
    steps: int,
    batch: int,
    hidden: int,
    projected: int,
    h0: int,
    c0: int,
    weight_hh: int,
    bias_hh: int,
    lengths: int,
    reverse: bool,
    y: int,
    h: int,
    c: int,
    saved: int,
) -> None: ...
def backward(
    cell: str,
    threads: int,
    steps: int,
    batch: int,
    hidden: int,
    h0: int,
    c0: int,
    weight_hh: int,
    lengths: int,
    reverse: bool,
    y: int,
    saved: int,
    dy: int,
    dh: int,
    dc: int,
    dprojected: int,
    dcandidate: int,
    dh0: int,
    dc0: int,
) -> None: ...
