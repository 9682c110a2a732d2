"""Outside data in: one folder for each source, mapping its files to the canonical tables."""

from tradewind.sources.importing import run_import
from tradewind.sources.report import FileCount, ImportReport, Reason, TableCount
from tradewind.sources.skeleton import new_source
from tradewind.sources.source import Files, Source, load, names
from tradewind.sources.worlds.filling import fill, planned_incidents

__all__ = [
    "FileCount",
    "Files",
    "ImportReport",
    "Reason",
    "Source",
    "TableCount",
    "fill",
    "load",
    "names",
    "new_source",
    "planned_incidents",
    "run_import",
]
