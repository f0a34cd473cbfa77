"""Score records from rows: the latest picture of an account, for the `scores` topic."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.model import Model
from state.deeds import Deed
from state.flush import Message
from state.store import AccountStore
from state.telling import INSUFFICIENT_DATA, About, Teller, tell_rows


class Shown(About):
    """What people entered and a snapshot shows."""

    relationship: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    deeds: tuple[Deed, ...] = ()


class Change:
    """A change of the model, as the snapshots that follow from it tell it.

    Parameters
    ----------
    model
        The one before.
    bands, healths
        By row: where the account stood under it, INSUFFICIENT and NaN where there was no score.
    """

    def __init__(self, model: Model, bands: NDArray[np.int64], healths: NDArray[np.float64]) -> None:
        named = {"name": model.name, "version": model.version, "fingerprint": model.fingerprint}
        self._head = b',"model_change":{"code":"MODEL_CHANGED","from":' + orjson.dumps(named)
        self._names = (*model.band_names, INSUFFICIENT_DATA)
        self._bands, self._healths = bands, healths

    def member(self, row: int) -> bytes:
        """Return the member that marks a snapshot; nothing for an account that came after the change."""
        if row >= self._bands.size:
            return b""
        health = float(self._healths[row])
        told = {"band": self._names[self._bands[row]], "health": None if math.isnan(health) else health}
        return self._head + b"," + orjson.dumps(told)[1:]


class Snapshots:
    """Builds the snapshots of one partition.

    Parameters
    ----------
    teller
        Of the model that scores.
    store
        The accounts.
    plan, work
        Handles of the plan and the scratch room.
    owner
        Who looks after an account of which nobody said whose it is; "" where the model names nobody.
    """

    def __init__(self, teller: Teller, store: AccountStore, plan: Any, work: Any, owner: str) -> None:
        self._teller = teller
        self._owner = owner or None
        self._nobodys = msgspec.json.encode(Shown(owner=self._owner))[1:-1]
        self._store = store
        self._plan = plan
        self._work = work
        self._profiles = msgspec.json.Decoder(Shown)

    def messages(
        self,
        chosen: NDArray[np.int64],
        clock_ms: int,
        sequence: int,
        change: Change | None,
        moved: Mapping[int, bytes],
    ) -> list[Message]:
        """Return the records of rows as of the clock or their own later time.

        Parameters
        ----------
        chosen
            Row numbers.
        clock_ms
            The partition's clock, or NO_VALUE.
        sequence
            Number of the flush (or step of a replay) that carries them.
        change
            The change of the model that they tell of, if one stands behind them.
        moved
            Row → a member that tells of its move to another segment.
        """
        teller, store = self._teller, self._store
        ends, at = np.empty(chosen.size, np.int64), np.empty(chosen.size, np.int64)
        messages: list[Message] = []
        done = 0
        while done < chosen.size:
            first = done
            done = tell_rows(
                self._plan,
                store.handle,
                self._work,
                teller.words,
                chosen,
                first,
                clock_ms,
                sequence,
                teller.room,
                teller.buffer,
                ends,
                at,
            )
            data = teller.buffer[: ends[done - 1]].tobytes()
            start = 0
            lines = zip(chosen[first:done].tolist(), ends[first:done].tolist(), at[first:done].tolist(), strict=True)
            for row, end, at_ms in lines:
                account = store.names[row]
                head = b'{"account_id":' + orjson.dumps(account) + b","
                tail = moved.get(row, b"") + self._tail(row, change)
                messages.append(Message(account.encode(), head + data[start:end] + tail, (), at_ms))
                start = end
        return messages

    def _tail(self, row: int, change: Change | None) -> bytes:
        """Return the members that people entered, and the end of the object."""
        profile = self._store.profiles.get(row)
        shown = self._nobodys if profile is None else self._shown(profile)
        marker = b"" if change is None else change.member(row)
        return (
            b"," + self._teller.model + b"," + self._teller.horizon + marker + (b"," + shown if shown else b"") + b"}"
        )

    def _shown(self, profile: bytes) -> bytes:
        shown = self._profiles.decode(profile)
        shown.owner = shown.owner or self._owner
        return msgspec.json.encode(shown)[1:-1]
