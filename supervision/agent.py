"""Agent: a process that keeps a value."""

from collections.abc import Callable
from typing import Any

from supervision.calls import CALL_S, call, cast
from supervision.process import Process

__all__ = ["Agent"]


class Agent(Process):
    """A process that keeps a value, which functions read and change on its thread.

    >>> from supervision import Agent, stop
    >>> ok, counter = Agent.start_link(lambda: 0, name="counter")
    >>> Agent.update("counter", lambda count: count + 1)
    >>> Agent.get(counter, lambda count: count)
    1

    In every call `agent` is a ref, a proxy, or a name, and the function is called with the value
    and the arguments behind it. If it raises, the caller gets the exception, and the agent ends.
    """

    def init(self, function: Callable[..., Any], *args: Any) -> None:
        """The value is `function(*args)`."""
        self._value = function(*args)

    @staticmethod
    def get(
        agent: Any, function: Callable[..., Any], *args: Any, timeout: float | None = CALL_S
    ) -> Any:
        """Return what the function returns.

        >>> Agent.get(counter, pow, 2)
        1
        """
        return call(agent, ("get", function, args), timeout)

    @staticmethod
    def update(
        agent: Any, function: Callable[..., Any], *args: Any, timeout: float | None = CALL_S
    ) -> None:
        """What the function returns becomes the value.

        >>> Agent.update(counter, lambda count, more: count + more, 5)
        """
        call(agent, ("update", function, args), timeout)

    @staticmethod
    def get_and_update(
        agent: Any, function: Callable[..., Any], *args: Any, timeout: float | None = CALL_S
    ) -> Any:
        """The function returns a pair: what is returned here, and the new value.

        >>> Agent.get_and_update(counter, lambda count: (count, 0))
        6
        """
        return call(agent, ("get_and_update", function, args), timeout)

    @staticmethod
    def cast(agent: Any, function: Callable[..., Any], *args: Any) -> None:
        """As `update`, without waiting.

        >>> Agent.cast(counter, lambda count: count + 2)
        >>> Agent.get(counter, lambda count: count), stop(counter)
        (2, 'ok')
        """
        cast(agent, ("update", function, args))

    def on_receive(self, message: Any) -> Any:
        """Handle a call; another message is logged."""
        match message:
            case ("get", function, args):
                return function(self._value, *args)
            case ("update", function, args):
                self._value = function(self._value, *args)
                return None
            case ("get_and_update", function, args):
                answer, self._value = function(self._value, *args)
                return answer
        return super().on_receive(message)
