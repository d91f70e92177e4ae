"""Which tools a session may use."""

from typing import Any

import pytest

from jidoka.core.errors import InvalidMessage
from jidoka.core.tools import chosen_of

TOOLS = {"look": 1, "look_up": 2, "send": 3}


@pytest.mark.parametrize(
    ("llm_config", "chosen"),
    [
        ({}, {}),
        ({"tools": None}, {}),
        ({"tools": []}, {}),
        ({"tools": ["send", "look"]}, {"send": 3, "look": 1}),
        ({"tools": ("send", "send")}, {"send": 3}),
    ],
)
def test_a_session_has_the_tools_that_it_lists(llm_config: dict[str, Any], chosen: dict[str, int]) -> None:
    assert chosen_of(TOOLS, llm_config) == chosen


@pytest.mark.parametrize("tools", ["look", "*", True, 7, {"look": True}, [None], [["look"]], ["*"], [""], ["a b"], [7]])
def test_what_is_not_a_list_of_names_is_refused(tools: Any) -> None:
    with pytest.raises(InvalidMessage, match="list of names") as caught:
        chosen_of(TOOLS, {"tools": tools})

    assert caught.value.field == "tools"


def test_a_tool_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidMessage, match="'loook'; there are: look, look_up$"):
        chosen_of(TOOLS, {"tools": ["send", "loook"]})
    with pytest.raises(InvalidMessage, match="'xyz'; there are: look, look_up, send$"):
        chosen_of(TOOLS, {"tools": ["xyz"]})
    with pytest.raises(InvalidMessage, match="there is none at all"):
        chosen_of({}, {"tools": ["look"]})
