"""Open vSwitch's language: matches, actions, flows, groups, meters, change scripts."""

from simverify.openflow.flow import (
    Bucket,
    Flow,
    FlowStats,
    GroupEntry,
    Match,
    MeterBand,
    MeterEntry,
    Term,
)
from simverify.openflow.format import (
    Printer,
    format_actions,
    format_flow,
    format_group,
    format_match,
    format_meter,
)
from simverify.openflow.parse import (
    Parsed,
    parse_actions,
    parse_flow,
    parse_flows,
    parse_group,
    parse_groups,
    parse_match,
    parse_meters,
    parse_request,
)
from simverify.openflow.protocol import PROTOCOLS, Protocol

__all__ = [
    "PROTOCOLS",
    "Bucket",
    "Flow",
    "FlowStats",
    "GroupEntry",
    "Match",
    "MeterBand",
    "MeterEntry",
    "Parsed",
    "Printer",
    "Protocol",
    "Term",
    "format_actions",
    "format_flow",
    "format_group",
    "format_match",
    "format_meter",
    "parse_actions",
    "parse_flow",
    "parse_flows",
    "parse_group",
    "parse_groups",
    "parse_match",
    "parse_meters",
    "parse_request",
]
