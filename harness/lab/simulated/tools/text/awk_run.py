"""awk(1) at work: a program that was read by `awk_syntax`, on records of input.

As one-true-awk 20210215 does it, FreeBSD 13.2's (contrib/one-true-awk/run.c and lib.c). Whatever is
asked of another program or a file takes virtual time, so all evaluation is a generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.shell.regex import Regex, compile_awk
from harness.lab.simulated.shell.streams import check_size
from harness.lab.simulated.tools.text import awk_syntax as syntax
from harness.lab.simulated.tools.text.awk_syntax import Expression, Pattern, Statement
from harness.lab.simulated.tools.text.awk_values import (
    UNSET,
    Array,
    MissingArgument,
    Numeric,
    Value,
    compared,
    formatted,
    from_input,
    is_true,
    number_of,
    text_of,
)

Evaluating = Generator["float | Signal", None, Value]
"""Evaluation that ends with a value."""

_DEEPEST = 25
"""How deep functions may call each other."""

_MOST_FIELDS = 100_000


class World(Protocol):
    """What awk asks of the system."""

    def step(self) -> None:
        """Count some statements."""

    def write(self, data: bytes) -> None:
        """Write to standard output."""

    def read(self, name: str) -> Generator[float | Signal, None, bytes | None]:
        """All of a file, `-` is standard input; None when it cannot be read."""

    def append(self, name: str, data: bytes, *, anew: bool) -> Program:
        """Write to a file, which is made empty before when `anew`."""

    def system(self, command: str) -> Program:
        """Run a command line; its status as awk reports it."""

    def output_of(self, command: str) -> Generator[float | Signal, None, bytes]:
        """What a command line prints."""

    def feed(self, command: str, data: bytes) -> Program:
        """Run a command line with that as its standard input."""

    def now(self) -> float:
        """The time of day."""


class Fault(Exception):
    """awk ends with a message and status 2."""


class _Next(Exception):
    pass


class _NextFile(Exception):
    pass


class _Exit(Exception):
    pass


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Return(Exception):
    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


def _decode(data: bytes) -> str:
    return data.decode("latin-1")


def _encode(text: str) -> bytes:
    return text.encode("latin-1", "replace")


@dataclass
class _Source:
    """Where records come from."""

    text: str
    at: int = 0

    def record(self, separator: str) -> str | None:
        """The next record, or None at the end (readrec() in lib.c)."""
        text = self.text
        if separator == "":
            while text[self.at : self.at + 1] == "\n":
                self.at += 1
        if self.at >= len(text):
            return None
        if separator == "":
            end = text.find("\n\n", self.at)
            taken = text[self.at :].removesuffix("\n") if end < 0 else text[self.at : end]
            self.at = len(text) if end < 0 else end + 2
            return taken
        if len(separator) > 1:
            match = compile_awk(separator).search(_encode(text), self.at)
            end, after = (match.start(), match.end()) if match else (len(text), len(text))
        else:
            end = text.find(separator, self.at)
            after = end + 1
        if end < 0 or after == self.at:
            end = after = len(text)
        taken, self.at = text[self.at : end], after
        return taken


@dataclass
class _Output:
    """Where `print` leads: a file or a command that is fed at its end."""

    how: str
    data: bytearray = field(default_factory=bytearray)


Frame = dict[str, "Value | Array"]


class Interpreter:
    """Runs one program."""

    def __init__(self, script: syntax.Script, world: World, arguments: list[str]) -> None:
        """`arguments` are what ARGV gets, without the program's text."""
        self._script = script
        self._world = world
        self.globals: Frame = {
            "FS": " ",
            "OFS": " ",
            "ORS": "\n",
            "RS": "\n",
            "OFMT": "%.6g",
            "CONVFMT": "%.6g",
            "SUBSEP": "\x1c",
            "NR": 0.0,
            "FNR": 0.0,
            "RSTART": 0.0,
            "RLENGTH": 0.0,
            "FILENAME": "",
        }
        argv = Array()
        for number, argument in enumerate(arguments):
            argv.set(str(number), from_input(argument))
        self.globals["ARGV"] = argv
        self.globals["ARGC"] = float(len(arguments))
        self._frames: list[Frame] = []
        self._record: Value = UNSET
        self._fields: list[Value] | None = []
        """Of the record; None until somebody asks."""
        self._rebuild = False
        """Whether the record has to be made of its fields."""
        self._separator = " "
        self._argument = 1
        self._input: _Source | None = None
        self._sources: dict[tuple[str, str], _Source] = {}
        self._outputs: dict[tuple[str, str], _Output] = {}
        self._printed = bytearray()
        self._within: set[int] = set()
        """The ranges that have begun."""
        self._ticks = 0
        self.status = 0
        self.line = 1

    # --- the whole ------------------------------------------------------------------------------

    def run(self) -> Program:
        """Run it to its end. Raises `Fault`."""
        script = self._script
        try:
            try:
                for action in script.begin:
                    yield from self._execute(action)
                if script.rules or script.end:
                    yield from self._records()
            except _Exit:
                pass  # END runs nevertheless, also after an exit in BEGIN
            for action in script.end:
                yield from self._execute(action)
        except _Exit:
            pass
        except (_Next, _NextFile):
            raise Fault("next used outside of a rule") from None
        except (_Break, _Continue, _Return):
            raise NotModelled("awk: a jump out of nowhere") from None
        yield from self._close_all()
        return self.status

    def _records(self) -> Program:
        while (yield from self._next_record()):
            try:
                for number, rule in enumerate(self._script.rules):
                    if (yield from self._selects(number, rule)):
                        if rule.action is None:
                            self._print(self._text(self._record_value()) + self._variable("ORS"))
                        else:
                            yield from self._execute(rule.action)
            except _Next:
                continue
            except _NextFile:
                if self._input is not None:
                    self._input = None
                    self._argument += 1
        return 0

    def _selects(self, number: int, rule: syntax.Rule) -> Generator[float | Signal, None, bool]:
        self._tick()
        if rule.first is None:
            return True
        if rule.second is None:
            return is_true((yield from self._evaluate(rule.first)))
        if number not in self._within:
            if not is_true((yield from self._evaluate(rule.first))):
                return False
            self._within.add(number)
        if is_true((yield from self._evaluate(rule.second))):
            self._within.discard(number)
        return True

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % 8 == 0:
            self._world.step()

    # --- input ----------------------------------------------------------------------------------

    def _open_next(self) -> Generator[float | Signal, None, bool]:
        """Open the next file among the arguments; False when there is none left."""
        argv = self.globals["ARGV"]
        assert isinstance(argv, Array)
        while self._input is None:
            count = int(number_of(self._scalar("ARGC")))
            if self._argument >= count:
                if self._argument > count or self._any_file(argv, count):
                    return False
                self._argument = count
                name = "-"
            else:
                index = str(self._argument)
                name = text_of(argv.get(index)) if index in argv else ""
                if not name:
                    self._argument += 1
                    continue
                if is_assignment(name):
                    self.assign_text(name)
                    self._argument += 1
                    continue
                self.globals["FILENAME"] = name
            data = yield from self._world.read(name)
            if data is None:
                raise Fault(f"can't open file {name}")
            self._input = _Source(_decode(data))
            self.globals["FNR"] = 0.0
        return True

    def _any_file(self, argv: Array, count: int) -> bool:
        names = (text_of(argv.get(str(n))) for n in range(1, count) if str(n) in argv)
        return any(name and not is_assignment(name) for name in names)

    def _read_line(self) -> Generator[float | Signal, None, str | None]:
        """The next record of the input; counts it."""
        while True:
            if self._input is None and not (yield from self._open_next()):
                return None
            assert self._input is not None
            line = self._input.record(self._variable("RS"))
            if line is not None:
                for name in ("NR", "FNR"):
                    self.globals[name] = number_of(self._scalar(name)) + 1
                return line
            self._input = None
            self._argument += 1

    def _next_record(self) -> Generator[float | Signal, None, bool]:
        self._separator = self._variable("FS")
        line = yield from self._read_line()
        if line is None:
            return False
        self._set_record(line)
        return True

    def _set_record(self, line: str) -> None:
        self._record = from_input(line)
        self._fields = None
        self._rebuild = False
        self._separator = self._variable("FS")

    # --- fields ---------------------------------------------------------------------------------

    def _split_record(self) -> list[Value]:
        if self._fields is None:
            record = text_of(self._record)
            self._fields = [from_input(each) for each in self._split_fields(record)]
        return self._fields

    def _split_fields(self, record: str) -> list[str]:
        separator = self._separator
        if separator == " ":
            return _words(record)
        if record == "":
            return []
        if separator == "":
            return list(record)
        if len(separator) > 1:
            return self._apart(record, compile_awk(separator))
        if self._variable("RS") == "":
            record = record.replace("\n", separator)
        return record.split(separator)

    def _apart(self, text: str, regex: Regex) -> list[str]:
        """Apart at each match that is not empty."""
        data = _encode(text)
        found: list[str] = []
        at = begin = 0
        while begin <= len(data) and (match := regex.search(data, begin)) is not None:
            if match.end() == match.start():
                begin = match.end() + 1
                continue
            found.append(text[at : match.start()])
            at = begin = match.end()
        return [*found, text[at:]]

    def _record_value(self) -> Value:
        if self._rebuild:
            separator = self._variable("OFS")
            fields = [self._text(each) for each in self._split_record()]
            check_size(sum(map(len, fields)) + len(separator) * len(fields))
            self._record = from_input(separator.join(fields))
            self._rebuild = False
        return self._record

    def _field(self, number: float) -> Value:
        at = int(number)
        if at < 0:
            raise Fault(f"trying to access out of range field {at}")
        if at == 0:
            return self._record_value()
        fields = self._split_record()
        return fields[at - 1] if at <= len(fields) else UNSET

    def _set_field(self, number: float, value: Value) -> None:
        at = int(number)
        if at < 0:
            raise Fault(f"trying to access out of range field {at}")
        if at == 0:
            self._set_record(self._text(value))
            return
        if at > _MOST_FIELDS:
            raise NotModelled("awk: that many fields")
        fields = self._split_record()
        while len(fields) < at:
            fields.append("")
        fields[at - 1] = value
        self._rebuild = True

    def _set_count(self, count: int) -> None:
        if count < 0:
            raise Fault("cannot set NF to a negative value")
        if count > _MOST_FIELDS:
            raise NotModelled("awk: that many fields")
        fields = self._split_record()
        del fields[count:]
        while len(fields) < count:
            fields.append("")
        self._rebuild = True

    # --- variables ------------------------------------------------------------------------------

    def _frame(self, name: str) -> Frame:
        if self._frames and name in self._frames[-1]:
            return self._frames[-1]
        return self.globals

    def _scalar(self, name: str) -> Value:
        if name == "NF":
            return float(len(self._split_record()))
        value = self._frame(name).get(name, UNSET)
        if isinstance(value, Array):
            raise Fault(f"can't read value of {name}; it's an array name.")
        return value

    def _variable(self, name: str) -> str:
        return self._text(self._scalar(name))

    def _array(self, name: str) -> Array:
        frame = self._frame(name)
        value = frame.get(name, UNSET)
        if value is UNSET:
            value = frame[name] = Array()
        if not isinstance(value, Array):
            raise Fault(f"can't assign to {name}; it's a scalar.")
        return value

    def _text(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        template = self.globals["CONVFMT"]
        return text_of(value, template if isinstance(template, str) else "%.6g")

    def assign_text(self, word: str) -> None:
        """`name=value` of the command line."""
        name, _, value = word.partition("=")
        self._assign_name(name, from_input(syntax.unescape(value)))

    def _assign_name(self, name: str, value: Value) -> None:
        if name == "NF":
            self._set_count(int(number_of(value)))
            return
        frame = self._frame(name)
        if isinstance(frame.get(name), Array):
            raise Fault(f"can't assign to {name}; it's an array name.")
        frame[name] = value

    def _index(self, parts: tuple[Expression, ...]) -> Generator[float | Signal, None, str]:
        texts = []
        for part in parts:
            texts.append(self._text((yield from self._evaluate(part))))
        return self._variable("SUBSEP").join(texts)

    def _assign(self, target: Expression, value: Value) -> Evaluating:
        match target:
            case syntax.Name(name):
                self._assign_name(name, value)
            case syntax.Element(name, index):
                at = yield from self._index(index)
                self._array(name).set(at, value)
            case syntax.Field(index):
                self._set_field(number_of((yield from self._evaluate(index))), value)
            case _:
                raise NotModelled("awk: an assignment to something else")
        return value

    # --- statements -----------------------------------------------------------------------------

    def _execute(self, node: Statement) -> Program:  # noqa: PLR0912 - one for each kind
        self._tick()
        match node:
            case syntax.Evaluate(expression, line):
                self.line = line
                yield from self._evaluate(expression)
            case syntax.Print():
                self.line = node.line
                yield from self._print_statement(node)
            case syntax.Block(statements):
                for each in statements:
                    yield from self._execute(each)
            case syntax.If(condition, yes, no):
                if is_true((yield from self._evaluate(condition))):
                    yield from self._execute(yes)
                elif no is not None:
                    yield from self._execute(no)
            case syntax.Loop():
                yield from self._loop(node)
            case syntax.ForIn(variable, array, body):
                for index in self._array(array).indices():
                    self._assign_name(variable, from_input(index))
                    try:
                        yield from self._execute(body)
                    except _Continue:
                        continue
                    except _Break:
                        break
            case syntax.Delete(name, None):
                self._array(name).clear()
            case syntax.Delete(name, index):
                assert index is not None
                at = yield from self._index(index)
                self._array(name).delete(at)
            case syntax.Leave(how, value):
                yield from self._leave(how, value)
        return 0

    def _loop(self, node: syntax.Loop) -> Program:
        if node.start is not None:
            yield from self._execute(node.start)
        first = node.first
        while True:
            self._tick()
            holds: Value = 1.0
            if not first and node.condition is not None:
                holds = yield from self._evaluate(node.condition)
            if not is_true(holds):
                return 0
            first = False
            try:
                yield from self._execute(node.body)
            except _Continue:
                pass
            except _Break:
                return 0
            if node.step is not None:
                yield from self._execute(node.step)

    def _leave(self, how: str, expression: Expression | None) -> Program:
        value: Value = UNSET
        if expression is not None:
            value = yield from self._evaluate(expression)
        match how:
            case "next":
                raise _Next
            case "nextfile":
                raise _NextFile
            case "break":
                raise _Break
            case "continue":
                raise _Continue
            case "return":
                raise _Return(value)
        if expression is not None:
            self.status = int(number_of(value)) & 0xFF
        raise _Exit

    # --- output ---------------------------------------------------------------------------------

    def _print(self, text: str) -> None:
        self._printed += _encode(text)
        check_size(len(self._printed))

    def _flush(self) -> None:
        """Standard output is a pipe, and so keeps what is written until here."""
        self._world.write(bytes(self._printed))
        self._printed.clear()

    def _print_statement(self, node: syntax.Print) -> Program:
        values: list[Value] = []
        for argument in node.arguments:
            values.append((yield from self._evaluate(argument)))
        if node.formatted:
            if not values:
                raise NotModelled("awk: printf without a format")
            text = self._sprintf(values, "printf")
        else:
            if not node.arguments:
                values = [self._record_value()]
            template = self._variable("OFMT")
            shown = [text_of(each, template) for each in values]
            text = self._variable("OFS").join(shown) + self._variable("ORS")
        if not node.how:
            self._print(text)
            return 0
        assert node.to is not None
        name = self._text((yield from self._evaluate(node.to)))
        if not name:
            raise Fault("null file name in print or getline")
        return (yield from self._print_to(node.how, name, _encode(text)))

    def _print_to(self, how: str, name: str, data: bytes) -> Program:
        kind = "|" if how == "|" else ">"
        if kind == ">" and name == "/dev/stdout":
            self._printed += data
            return 0
        output = self._outputs.get((kind, name))
        opened = output is None
        if output is None:
            self._flush()
            output = self._outputs[kind, name] = _Output(kind)
        if kind == "|":
            output.data += data
            check_size(len(output.data))
            return 0
        if (yield from self._world.append(name, data, anew=opened and how == ">")):
            raise Fault(f"can't redirect to {name}")
        return 0

    def _sprintf(self, values: list[Value], where: str) -> str:
        template = self._text(values[0])
        shown = [
            each if isinstance(each, float | Numeric) else self._text(each) for each in values[1:]
        ]
        try:
            return formatted(template, shown)
        except MissingArgument:
            raise Fault(f"not enough args in {where}({template})") from None

    def _close(self, name: str) -> Evaluating:
        found = False
        for kind in ("<", "|"):
            if self._sources.pop((kind, name), None) is not None:
                found = True
        for kind in (">", "|"):
            output = self._outputs.pop((kind, name), None)
            if output is not None:
                found = True
                if kind == "|":
                    yield from self._world.feed(name, bytes(output.data))
        return 0.0 if found else -1.0

    def _close_all(self) -> Program:
        self._flush()
        while self._outputs:
            (kind, name), output = next(iter(self._outputs.items()))
            del self._outputs[kind, name]
            if kind == "|":
                yield from self._world.feed(name, bytes(output.data))
        return 0

    def fault(self, fault: Fault) -> str:
        """What awk says of it, after what was printed before."""
        self._flush()
        text = f"{fault}\n"
        if number_of(self._scalar("NR")) > 0:
            count = int(number_of(self._scalar("FNR")))
            name = self._variable("FILENAME")
            text += f" input record number {count}" + (f", file {name}" if name != "-" else "")
            text += "\n"
        return f"{text} source line number {self.line}"

    # --- expressions ----------------------------------------------------------------------------

    def _evaluate(self, node: Expression) -> Evaluating:  # noqa: PLR0911, PLR0912
        match node:
            case syntax.Number(constant):
                return constant
            case syntax.Text(text):
                return text
            case syntax.Name(name):
                return self._scalar(name)
            case syntax.Field(index):
                return self._field(number_of((yield from self._evaluate(index))))
            case syntax.Pattern(text):
                return self._found(compile_awk(text), self._text(self._record_value()))
            case syntax.Element(name, parts):
                at = yield from self._index(parts)
                return self._array(name).get(at)
            case syntax.Concat(left, right):
                one = self._text((yield from self._evaluate(left)))
                other = self._text((yield from self._evaluate(right)))
                check_size(len(one) + len(other))
                return one + other
            case syntax.Compare(operator, left, right):
                first = yield from self._evaluate(left)
                second = yield from self._evaluate(right)
                return float(_ORDERS[operator](compared(first, second)))
            case syntax.Logic(operator, left, right):
                if is_true((yield from self._evaluate(left))) == (operator == "||"):
                    return float(operator == "||")
                return float(is_true((yield from self._evaluate(right))))
            case syntax.Matching(left, right, negated):
                subject = self._text((yield from self._evaluate(left)))
                regex = yield from self._regex(right)
                return float(self._found(regex, subject) != float(negated))
            case syntax.In(parts, name):
                at = yield from self._index(parts)
                return float(at in self._array(name))
            case syntax.Ternary(condition, yes, no):
                chosen = yes if is_true((yield from self._evaluate(condition))) else no
                return (yield from self._evaluate(chosen))
            case syntax.Unary(operator, operand):
                value = yield from self._evaluate(operand)
                if operator == "!":
                    return float(not is_true(value))
                return _zero(-number_of(value) if operator == "-" else number_of(value))
            case syntax.Arithmetic(operator, left, right):
                a = number_of((yield from self._evaluate(left)))
                b = number_of((yield from self._evaluate(right)))
                return _calculated(operator, a, b)
            case syntax.Assign(target, operator, expression):
                value = yield from self._evaluate(expression)
                if operator:
                    before = number_of((yield from self._evaluate(target)))
                    value = _calculated(operator, before, number_of(value), f" in {operator}=")
                return (yield from self._assign(target, value))
            case syntax.Step(target, by, before_):
                number = number_of((yield from self._evaluate(target)))
                yield from self._assign(target, number + by)
                return number + by if before_ else number
            case syntax.Call(name, arguments):
                return (yield from self._call(name, arguments))
            case syntax.Builtin(name, arguments):
                return (yield from self._builtin(name, arguments))
            case syntax.Getline():
                return (yield from self._getline(node))

    def _regex(self, node: Expression) -> Generator[float | Signal, None, Regex]:
        if isinstance(node, Pattern):
            return compile_awk(node.text)
        return compile_awk(self._text((yield from self._evaluate(node))))

    def _found(self, regex: Regex, text: str) -> float:
        return float(regex.search(_encode(text)) is not None)

    def _call(self, name: str, arguments: tuple[Expression, ...]) -> Evaluating:
        definition = self._script.functions.get(name)
        if definition is None:
            raise Fault(f"calling undefined function {name}")
        if len(arguments) > len(definition.parameters):
            raise NotModelled(f"awk: {name} with too many arguments")
        if len(self._frames) >= _DEEPEST:
            raise NotModelled("awk: functions that call each other that deep")
        frame: Frame = {}
        lent: list[tuple[str, str]] = []
        for parameter, argument in zip(definition.parameters, arguments, strict=False):
            if isinstance(argument, syntax.Name) and argument.name != "NF":
                own = self._frame(argument.name).get(argument.name, UNSET)
                frame[parameter] = own
                if own is UNSET:
                    lent.append((parameter, argument.name))
            else:
                frame[parameter] = yield from self._evaluate(argument)
        for parameter in definition.parameters[len(arguments) :]:
            frame[parameter] = UNSET
        self._frames.append(frame)
        result: Value = UNSET
        try:
            yield from self._execute(definition.body)
        except _Return as end:
            result = end.value
        finally:
            self._frames.pop()
        for parameter, own_name in lent:
            # A variable without a value that the function made an array of is the caller's array.
            if isinstance(frame[parameter], Array):
                self._frame(own_name)[own_name] = frame[parameter]
        return result

    def _getline(self, node: syntax.Getline) -> Evaluating:
        self._flush()
        if not node.kind:
            if node.target is None:
                return float((yield from self._next_record()))
            line = yield from self._read_line()
            if line is None:
                return 0.0
            yield from self._assign(node.target, from_input(line))
            return 1.0
        assert node.source is not None
        name = self._text((yield from self._evaluate(node.source)))
        if not name:
            raise Fault("null file name in print or getline")
        source = self._sources.get((node.kind, name))
        if source is None:
            data: bytes | None
            if node.kind == "|":
                data = yield from self._world.output_of(name)
            else:
                data = yield from self._world.read(name)
            if data is None:
                return -1.0
            source = self._sources[node.kind, name] = _Source(_decode(data))
        line = source.record(self._variable("RS"))
        if line is None:
            return 0.0
        if node.target is None:
            self._set_record(line)
        else:
            yield from self._assign(node.target, from_input(line))
        return 1.0

    # --- functions ------------------------------------------------------------------------------

    def _builtin(  # noqa: PLR0911, PLR0912 - one for each function
        self, name: str, arguments: tuple[Expression, ...]
    ) -> Evaluating:
        special = _SPECIAL.get(name)
        if special is not None:
            return (yield from special(self, arguments))
        values: list[Value] = []
        for argument in arguments:
            values.append((yield from self._evaluate(argument)))
        if name in _MATHEMATICS:
            number = number_of(values[0])
            try:
                return _MATHEMATICS[name](number)
            except (ValueError, OverflowError):
                raise NotModelled(f"awk: {name}({number})") from None
        if name in _BITS:
            one, other = (_int(number_of(each)) for each in values)
            return float(_BITS[name](one, other))
        texts = [self._text(each) for each in values]
        match name:
            case "atan2":
                return math.atan2(number_of(values[0]), number_of(values[1]))
            case "compl":
                return float(~_int(number_of(values[0])))
            case "index":
                return float(texts[0].find(texts[1]) + 1)
            case "substr":
                return _substr(texts[0], [number_of(each) for each in values[1:]])
            case "sprintf":
                return self._sprintf(values, "sprintf")
            case "tolower" | "toupper":
                return _cased(texts[0], upper=name == "toupper")
            case "system":
                self._flush()
                return float((yield from self._world.system(texts[0])))
            case "close":
                return (yield from self._close(texts[0]))
            case "systime":
                return float(int(self._world.now()))
            case "fflush":
                self._flush()
                return 0.0
        raise NotModelled(f"awk's {name}")

    def _length(self, arguments: tuple[Expression, ...]) -> Evaluating:
        if not arguments:
            return float(len(self._text(self._record_value())))
        if isinstance(arguments[0], syntax.Name) and arguments[0].name != "NF":
            name = arguments[0].name
            value = self._frame(name).get(name)
            if isinstance(value, Array):
                return float(len(value))
        return float(len(self._text((yield from self._evaluate(arguments[0])))))

    def _match(self, arguments: tuple[Expression, ...]) -> Evaluating:
        text = self._text((yield from self._evaluate(arguments[0])))
        regex = yield from self._regex(arguments[1])
        found = regex.search(_encode(text))
        start = float(found.start() + 1) if found is not None else 0.0
        length = float(found.end() - found.start()) if found is not None else -1.0
        self.globals["RSTART"], self.globals["RLENGTH"] = start, length
        return start

    def _split(self, arguments: tuple[Expression, ...]) -> Evaluating:
        text = self._text((yield from self._evaluate(arguments[0])))
        if not isinstance(arguments[1], syntax.Name):
            raise NotModelled("awk: split into something else")
        parts = yield from self._split_by(text, arguments[2] if len(arguments) > 2 else None)
        array = self._array(arguments[1].name)
        array.clear()
        for number, part in enumerate(parts, 1):
            array.set(str(number), from_input(part))
        return float(len(parts))

    def _split_by(  # noqa: PLR0911 - one for each kind of separator
        self, text: str, by: Expression | None
    ) -> Generator[float | Signal, None, list[str]]:
        if isinstance(by, Pattern):
            separator = by.text
            if not text:
                return []
            return self._apart(text, compile_awk(separator)) if separator else list(text)
        separator = self._variable("FS")
        if by is not None:
            separator = self._text((yield from self._evaluate(by)))
        if not text:
            return []
        if separator == " ":
            return _words(text)
        if len(separator) > 1:
            return self._apart(text, compile_awk(separator))
        if separator == "":
            return list(text)
        return text.replace("\n", separator).split(separator)

    def _substitute(self, arguments: tuple[Expression, ...], *, every: bool) -> Evaluating:
        target: Expression = syntax.Field(syntax.Number(0.0))
        if len(arguments) > 2:
            target = arguments[2]
        if not isinstance(target, syntax.Name | syntax.Element | syntax.Field):
            raise NotModelled("awk: sub in something else")
        text = self._text((yield from self._evaluate(target)))
        regex = yield from self._regex(arguments[0])
        replacement = self._text((yield from self._evaluate(arguments[1])))
        changed, count = _replaced(text, regex, replacement, every=every)
        if count:
            yield from self._assign(target, changed)
        return float(count)

    def _sub(self, arguments: tuple[Expression, ...]) -> Evaluating:
        return (yield from self._substitute(arguments, every=False))

    def _gsub(self, arguments: tuple[Expression, ...]) -> Evaluating:
        return (yield from self._substitute(arguments, every=True))


def _words(text: str) -> list[str]:
    return [word for word in text.replace("\t", " ").replace("\n", " ").split(" ") if word]


def _int(number: float) -> int:
    """C's int."""
    if math.isnan(number) or not -(2.0**31) <= number < 2.0**31:
        return -(2**31)
    return int(number)


def _substr(text: str, numbers: list[float]) -> str:
    """As substr() in run.c cuts: towards zero, within the text."""
    most = len(text) + 1
    start = min(max(_int(numbers[0]), 1), most)
    count = _int(numbers[1]) if len(numbers) > 1 else most - 1
    count = min(max(count, 0), most - start)
    return text[start - 1 : start - 1 + count]


def _cased(text: str, *, upper: bool) -> str:
    """In the locale C.UTF-8, a character at a time."""
    try:
        characters = _encode(text).decode("utf-8")
    except UnicodeDecodeError:
        raise Fault(f"illegal byte sequence {text}") from None
    other = characters.upper() if upper else characters.lower()
    if any(
        one != two and not one.isascii() for one, two in zip(characters, other, strict=False)
    ) or len(other) != len(characters):
        raise NotModelled("awk: upper and lower case of other than ASCII letters")
    return _decode(other.encode())


def _replacement(template: str, matched: str) -> str:
    r"""`&` is what was matched, `\&` is `&` and `\\&` a backslash and it (backsub() in run.c)."""
    out: list[str] = []
    at = 0
    while at < len(template):
        if template.startswith("\\\\", at):
            if template[at + 2 : at + 4] == "\\&":
                out.append("\\&")
                at += 4
            elif template[at + 2 : at + 3] == "&":
                out.append("\\" + matched)
                at += 3
            else:
                out.append("\\\\")
                at += 2
        elif template.startswith("\\&", at):
            out.append("&")
            at += 2
        else:
            out.append(matched if template[at] == "&" else template[at])
            at += 1
    return "".join(out)


def _replaced(text: str, regex: Regex, template: str, *, every: bool) -> tuple[str, int]:
    """The text with the first match or each one replaced, and how many (gsub() in run.c)."""
    data = _encode(text)
    out: list[str] = []
    at = count = size = 0
    after_match = False
    while (match := regex.search(data, at)) is not None:
        start, end = match.start(), match.end()
        made = _replacement(template, text[start:end])
        if start == end and start < len(text) and every:
            if not after_match:
                out.append(made)
                count += 1
            out.append(text[at])
            at += 1
            after_match = False
        else:
            out.append(text[at:start] + made)
            count += 1
            at = end
            after_match = True
            if not every or start == end or at == len(text):
                break
        size += len(made)
        check_size(size)
    return "".join(out) + text[at:], count


def _zero(number: float) -> float:
    """Awk knows no negative zero."""
    return number + 0.0


def _calculated(operator: str, left: float, right: float, where: str = "") -> float:
    return _zero(_result(operator, left, right, where))


def _result(operator: str, left: float, right: float, where: str) -> float:
    try:
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                if right == 0:
                    raise Fault(f"division by zero{where}")
                return left / right
            case "%":
                if right == 0:
                    raise Fault(f"division by zero{where or ' in mod'}")
                return math.fmod(left, right)
        return float(left**right)
    except (OverflowError, ZeroDivisionError, ValueError, TypeError):
        raise NotModelled(f"awk: {left} {operator} {right}") from None


_ORDERS: dict[str, Callable[[int], bool]] = {
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    ">": lambda order: order > 0,
    "<=": lambda order: order <= 0,
    ">=": lambda order: order >= 0,
}
_MATHEMATICS: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "int": lambda number: _zero(float(math.trunc(number))),
}
_BITS: dict[str, Callable[[int, int], int]] = {
    "and": lambda one, other: one & other,
    "or": lambda one, other: one | other,
    "xor": lambda one, other: one ^ other,
    "lshift": lambda one, other: _int(float(one << (other & 31))),
    "rshift": lambda one, other: one >> (other & 31),
}
_SPECIAL: dict[str, Callable[[Interpreter, tuple[Expression, ...]], Evaluating]] = {
    "length": Interpreter._length,
    "match": Interpreter._match,
    "split": Interpreter._split,
    "sub": Interpreter._sub,
    "gsub": Interpreter._gsub,
}


def is_assignment(word: str) -> bool:
    """Whether a word of the command line is `name=value`."""
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isascii() and name.isidentifier()
