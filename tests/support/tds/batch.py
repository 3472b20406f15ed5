"""A batch of T-SQL as a tree: statements, blocks, conditions. Statements end where the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import NotTaken
from .lexer import Token, lex

Tokens = list[Token]


@dataclass
class Plain:
    """A statement of one verb; text is how it was written, run does it."""

    tokens: Tokens
    text: str = ""
    run: Callable[..., None] | None = None

    @property
    def verb(self) -> str:
        return self.tokens[0].upper


@dataclass
class Block:
    body: list[Node]


@dataclass
class If:
    condition: Tokens
    then: Node
    otherwise: Node | None
    test: Callable[[Any], bool] | None = None


@dataclass
class While:
    condition: Tokens
    body: Node
    test: Callable[[Any], bool] | None = None


@dataclass
class Try:
    body: list[Node]
    handler: list[Node]


@dataclass
class Declare:
    variables: list[tuple[str, Tokens, Tokens]] = field(default_factory=list)  # name, type, value


Node = Plain | Block | If | While | Try | Declare

# Verbs that begin a statement.
STARTS = {
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "SET",
    "IF",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVE",
    "DECLARE",
    "EXEC",
    "EXECUTE",
    "THROW",
    "RAISERROR",
    "PRINT",
    "RETURN",
    "WHILE",
    "BREAK",
    "CONTINUE",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "USE",
    "WITH",
    "GRANT",
    "DENY",
    "REVOKE",
    "WAITFOR",
    "DBCC",
    "CHECKPOINT",
    "KILL",
}
ENDS = {"END", "ELSE"}
TO_THE_END = {"VIEW", "PROCEDURE", "PROC", "FUNCTION", "TRIGGER"}


def parse(text: str) -> list[Node]:
    parser = Parser(lex(text))
    out = parser.statements(top=True)
    if parser.at < len(parser.tokens):
        raise near(parser.tokens[parser.at])
    return out


def near(token: Token) -> NotTaken:
    word = token.upper
    if word in STARTS | ENDS:
        return NotTaken(f"Incorrect syntax near the keyword '{token.text}'.", 156)
    return NotTaken(f"Incorrect syntax near '{token.text}'.", 102)


class Parser:
    def __init__(self, tokens: Tokens):
        self.tokens = tokens
        self.at = 0

    def word(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].upper if at < len(self.tokens) else ""

    def skip(self, word: str) -> None:
        if self.word() != word:
            if self.at < len(self.tokens):
                raise near(self.tokens[self.at])
            raise NotTaken(f"Incorrect syntax near '{self.tokens[-1].text if self.tokens else ''}'.")
        self.at += 1

    def statements(self, top: bool = False) -> list[Node]:
        out = []
        while self.at < len(self.tokens):
            if self.word() == ";":
                self.at += 1
            elif not top and self.word() == "END":
                break
            else:
                out.append(self.statement())
        return out

    def statement(self) -> Node:
        word, second = self.word(), self.word(1)
        if word == "IF":
            return self.condition()
        if word == "WHILE":
            self.at += 1
            condition = self.until_start()
            return While(condition, self.statement())
        if word == "BEGIN" and second in ("TRY",):
            return self.trial()
        if word == "BEGIN" and second not in ("TRAN", "TRANSACTION", "DISTRIBUTED"):
            self.at += 1
            body = self.statements()
            self.skip("END")
            return Block(body)
        if word == "DECLARE":
            return self.declaration()
        if word not in STARTS:
            token = self.tokens[self.at]
            if token.upper.startswith("SP_") or (self.at == 0 and token.kind in ("word", "name")):
                # A procedure may be called without EXEC where it is first.
                return Plain([Token("word", "EXEC", token.start, token.start), *self.plain().tokens])
            raise near(token)
        return self.plain()

    def condition(self) -> If:
        self.skip("IF")
        condition = self.until_start()
        then = self.statement()
        at = self.at
        while self.word() == ";":
            self.at += 1
        if self.word() == "ELSE":
            self.at += 1
            return If(condition, then, self.statement())
        self.at = at
        return If(condition, then, None)

    def trial(self) -> Try:
        self.at += 2
        body = self.statements()
        self.skip("END")
        self.skip("TRY")
        while self.word() == ";":
            self.at += 1
        self.skip("BEGIN")
        self.skip("CATCH")
        handler = self.statements()
        self.skip("END")
        self.skip("CATCH")
        return Try(body, handler)

    def until_start(self) -> Tokens:
        """A condition: up to the verb that follows it."""
        begun, depth = self.at, 0
        while self.at < len(self.tokens):
            word = self.word()
            depth += (word in ("(", "CASE")) - (word in (")", "END"))
            if depth == 0 and word in STARTS and self.at > begun:
                break
            self.at += 1
        if self.at == begun or self.at == len(self.tokens):
            raise NotTaken("Incorrect syntax near 'IF'.", 156)
        return self.tokens[begun : self.at]

    def plain(self) -> Plain:
        begun = self.at
        lead = self.word()
        self.at += 1
        taken: set[str] = set()
        depth = 0
        previous = lead
        while self.at < len(self.tokens):
            word = self.word()
            if word in ("(", "CASE"):
                depth += 1
            elif word == ")" or (word == "END" and depth > 0):
                depth -= 1
            elif depth == 0:
                if word == ";" and not (lead == "CREATE" and self.word_in(begun) in TO_THE_END):
                    break
                if word in ENDS and not (lead == "CREATE" and self.word_in(begun) in TO_THE_END):
                    break
                if word in STARTS and not self.inside(lead, begun, word, previous, taken):
                    break
            previous = word
            self.at += 1
        return Plain(self.tokens[begun : self.at])

    def word_in(self, begun: int) -> str:
        """What a CREATE or ALTER is of."""
        for token in self.tokens[begun + 1 : begun + 5]:
            if token.upper not in ("OR", "ALTER", "UNIQUE", "CLUSTERED", "NONCLUSTERED"):
                return token.upper
        return ""

    def inside(self, lead: str, begun: int, word: str, previous: str, taken: set[str]) -> bool:
        """Whether a verb is a part of the statement that it stands in."""
        if previous in ("UNION", "ALL", "EXCEPT", "INTERSECT") and word == "SELECT":
            return True
        if word == "WITH":
            return self.word(1) == "(" or lead in ("RAISERROR", "GRANT", "CREATE", "ALTER", "EXEC", "EXECUTE", "DBCC")
        if previous == "ON" and word in ("DELETE", "UPDATE"):
            return True
        if previous == "WITH" and word == "ROLLBACK" and lead == "ALTER":
            return True
        if word == "SET" and previous in ("DELETE", "UPDATE") and lead in ("CREATE", "ALTER"):
            return True
        if word == "IF" and self.word(1) == "EXISTS" and lead in ("DROP", "ALTER"):
            return True
        if lead in ("GRANT", "DENY", "REVOKE"):
            return "TO" not in taken if word != "TO" else True
        if lead == "MERGE" or (lead == "CREATE" and self.word_in(begun) in TO_THE_END):
            return True
        allowed = {
            "INSERT": {"SELECT", "EXEC", "EXECUTE", "WITH"},
            "UPDATE": {"SET"},
            "WITH": {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "SET"},
            "ALTER": {"ALTER", "DROP", "SET"},
            "DECLARE": set(),
        }.get(lead, set())
        if word not in allowed or word in taken:
            return False
        if lead == "WITH":
            mains = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"}
            if word in mains and taken & mains:
                return word == "SELECT" and "INSERT" in taken
            if word == "SET" and "UPDATE" not in taken:
                return False
        if lead == "INSERT" and taken:
            return False
        taken.add(word)
        return True

    def declaration(self) -> Declare:
        tokens = self.plain().tokens[1:]
        out = Declare()
        part: Tokens = []
        depth = 0
        for token in [*tokens, Token("sign", ",", 0, 0)]:
            depth += (token.text == "(") - (token.text == ")")
            if token.text == "," and depth == 0 and part:
                out.variables.append(self.variable(part))
                part = []
            else:
                part.append(token)
        if not out.variables:
            raise NotTaken("Incorrect syntax near 'DECLARE'.", 156)
        return out

    @staticmethod
    def variable(part: Tokens) -> tuple[str, Tokens, Tokens]:
        if part[0].kind != "variable" or len(part) < 2:
            raise near(part[0])
        rest = part[2:] if part[1].upper == "AS" else part[1:]
        if rest[0].upper in ("TABLE", "CURSOR"):
            raise NotTaken(f"The stand-in takes no variable of type {rest[0].text}.")
        for i, token in enumerate(rest):
            if token.text == "=":
                return part[0].text.lower(), rest[:i], rest[i + 1 :]
        return part[0].text.lower(), rest, []
