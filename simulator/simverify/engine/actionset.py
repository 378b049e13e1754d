"""Action sets: what write_actions gathers, and buckets are; the order in which they run.

Source: ovs-actions(7), "Action Sets"; measured on 3.1: a bucket with two outputs runs the last one
only, and what may not stand in a set is left out of a bucket without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simverify.openflow import actions as ofp

if TYPE_CHECKING:
    from simverify.openflow.actions import Action, Actions

_ONE_OF_A_KIND: tuple[type[Action], ...] = (
    ofp.StripVlan,
    ofp.PopMpls,
    ofp.Decap,
    ofp.Encap,
    ofp.PushMpls,
    ofp.PushVlan,
    ofp.DecTtl,
    ofp.DecMplsTtl,
    ofp.DecNshTtl,
)
_IN_ORDER = (ofp.Load, ofp.Move, ofp.SetField, ofp.Mod, ofp.SetTunnel, ofp.SetMpls)
_PLAIN = ofp.Controller()


def executed(actions: Actions) -> Actions:
    """Return the actions of a set in the order in which they run; none if nothing is sent."""
    last = final_action(actions)
    if last is None:
        return ()
    done: list[Action] = []
    for kind in _ONE_OF_A_KIND:
        done.extend([action for action in actions if isinstance(action, kind)][-1:])
    done.extend(action for action in actions if isinstance(action, _IN_ORDER))
    return (*done, last)


def final_action(actions: Actions) -> Action | None:
    """Return the one action that says where the packet goes: the last of the best kind."""
    for kind in (is_group, is_output, is_resubmit, is_ct_clear, is_ct):
        found = [action for action in actions if kind(action)]
        if found:
            return found[-1]
    return None


def is_group(action: Action) -> bool:
    """Whether the action is `group`, which beats all others."""
    return isinstance(action, ofp.Group)


def is_output(action: Action) -> bool:
    """Whether the action is an output: `controller` without arguments of its own is one too."""
    if isinstance(action, ofp.Controller):
        return (action.controller_id, action.userdata, action.pause, action.meter_id) == (
            _PLAIN.controller_id,
            _PLAIN.userdata,
            _PLAIN.pause,
            _PLAIN.meter_id,
        )
    return isinstance(action, (ofp.Output, ofp.Enqueue))


def is_resubmit(action: Action) -> bool:
    """Whether the action is `resubmit`."""
    return isinstance(action, ofp.Resubmit)


def is_ct_clear(action: Action) -> bool:
    """Whether the action is `ct_clear`."""
    return isinstance(action, ofp.CtClear)


def is_ct(action: Action) -> bool:
    """Whether the action is `ct`."""
    return isinstance(action, ofp.Ct)


def output_of(actions: Actions) -> int | None:
    """Return the port in `actset_output`: that of the last output, unless there is a group."""
    if any(is_group(action) for action in actions):
        return None
    ports = [action.port for action in actions if isinstance(action, (ofp.Output, ofp.Enqueue))]
    return ports[-1] if ports else None
