"""x"""


def simulate_command() -> None:
    """X"""
