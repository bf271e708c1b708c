"""Types of the compiled core (csrc/bindings.cpp). Arrays come as addresses; 0 is null."""

def isas() -> list[str]: ...
def isa() -> str: ...
def select(name: str) -> None: ...
def peak() -> float: ...

# Addresses of x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths; y, h, c, saved.
def forward(
    cell: str,
    threads: int,
    steps: int,
    batch: int,
    inputs: int,
    hidden: int,
    reverse: bool,
    /,
    *addresses: int,
) -> None: ...

# Addresses of h0, c0, weight_hh, lengths, y, saved; dy, dh, dc; dprojected, dcandidate, dh0, dc0.
def backward(
    cell: str, threads: int, steps: int, batch: int, hidden: int, reverse: bool, /, *addresses: int
) -> None: ...
