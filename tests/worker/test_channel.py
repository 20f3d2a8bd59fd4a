import io
import json
import os
import time

from worker.channel import Kind, Message, StopRequest, receive, send


def test_messages_arrive_as_they_were_sent() -> None:
    pipe = io.BytesIO()
    said = [
        Message(Kind.PROGRESS, {"step": 1, "metrics": {"loss": float("nan")}}),
        Message(Kind.EVALUATION, {"returns": [1.5]}, b'\x00{"kind"}\nbytes that look like more\n'),
        Message(Kind.FINISHED, {"step": 2}),
    ]
    for message in said:
        send(pipe, message)
    pipe.seek(0)
    heard = list(receive(pipe))
    assert [m.kind for m in heard] == [m.kind for m in said]
    assert heard[1] == said[1]
    assert heard[0].body["metrics"]["loss"] != heard[0].body["metrics"]["loss"]  # still NaN


def test_whatever_was_cut_off_is_dropped_and_the_rest_kept() -> None:
    pipe = io.BytesIO()
    send(pipe, Message(Kind.PROGRESS, {"step": 1}))
    send(pipe, Message(Kind.EVALUATION, {"returns": [1.5]}, b"0123456789"))
    whole = pipe.getvalue()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        heard = list(receive(io.BytesIO(whole[:cut])))
        assert [m.kind for m in heard] == [Kind.PROGRESS]


def test_a_header_is_one_line_of_json() -> None:
    pipe = io.BytesIO()
    send(pipe, Message(Kind.PROGRESS, {"text": "two\nlines"}))
    assert json.loads(pipe.getvalue())["body"]["text"] == "two\nlines"


def test_stop_and_a_closed_input_both_stop() -> None:
    for say_stop in (True, False):
        read_end, write_end = os.pipe()
        with os.fdopen(read_end) as stream:
            stop = StopRequest(stream)
            assert not stop()
            if say_stop:
                os.write(write_end, b"stop\n")
            os.close(write_end)
            until = time.monotonic() + 5
            while not stop() and time.monotonic() < until:
                time.sleep(0.005)
            assert stop()
