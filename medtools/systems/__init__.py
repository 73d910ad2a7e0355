"""One room per published method; rooms are discovered by their `card.yaml`, not listed here."""
