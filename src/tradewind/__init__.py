"""Tradewind: a growth engine for content-commerce marketplaces. It explains, acts and proves."""

__version__ = "0.1.0"
