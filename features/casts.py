"""A raw column comes in as SQL; out comes SQL that types it as the contract says, null where it can't be read."""

from features.contract import Column

SQL_TYPES = {
    "str": "VARCHAR",
    "int": "BIGINT",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
    "enum": "VARCHAR",
}
_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_SLASHED = "['%Y/%m/%d %H:%M:%S', '%Y/%m/%d %H:%M', '%Y/%m/%d', '%Y%m%d%H%M%S', '%Y%m%d', '%Y-%m-%d %H:%M']"
# A clock followed by Z or an offset.
_ZONED = r":\d{2}.*(Z|z|[+-]\d{2}(:?\d{2})?)$"


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def as_text(source: str, sql_type: str) -> str:
    """The cell as text, null where empty."""
    text = source if sql_type == "VARCHAR" else f"CAST({source} AS VARCHAR)"
    return f"NULLIF(trim({text}), '')"


def typed(column: Column, source: str, sql_type: str, timezone: str) -> str:
    """SQL that reads `source`, of the type it has in the file, as the column's kind."""
    value = _typed(column, source, sql_type, timezone)
    return f"CAST({value} AS {SQL_TYPES[column.kind]})"


def _typed(column: Column, source: str, sql_type: str, timezone: str) -> str:
    text = as_text(source, sql_type)
    if column.kind == "str":
        return text
    if column.kind == "enum":
        return f"CASE WHEN {_listed(column, text)} THEN lower({text}) END" if column.values else f"lower({text})"
    if column.kind == "bool":
        if sql_type == "BOOLEAN":
            return source
        return (
            f"CASE WHEN lower({text}) IN ('1', '1.0', 'true', 't', 'yes', 'y', '是') THEN true"
            f" WHEN lower({text}) IN ('0', '0.0', 'false', 'f', 'no', 'n', '否') THEN false END"
        )
    if column.kind in ("int", "float"):
        number = f"TRY_CAST({source if _is_number(sql_type) else text} AS DOUBLE)"
        wanted = [f"isfinite({number})"]
        if column.minimum is not None:
            wanted.append(f"{number} >= {column.minimum:g}")
        if column.kind == "int":
            wanted.append(f"{number} = floor({number})")
        return f"CASE WHEN {' AND '.join(wanted)} THEN {number} END"
    return _moment(source, text, sql_type, timezone)


def _listed(column: Column, text: str) -> str:
    values = ", ".join(literal(v) for v in column.values or ())
    return f"lower({text}) IN ({values})"


def _is_number(sql_type: str) -> bool:
    return sql_type in (*_NUMERIC, "DOUBLE", "FLOAT") or sql_type.startswith("DECIMAL")


def _moment(source: str, text: str, sql_type: str, timezone: str) -> str:
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return f"{source} AT TIME ZONE {literal(timezone)}"
    if sql_type == "DATE" or sql_type.startswith("TIMESTAMP"):
        return source
    return (
        f"CASE WHEN regexp_matches({text}, {literal(_ZONED)})"
        f" THEN TRY_CAST({text} AS TIMESTAMP WITH TIME ZONE) AT TIME ZONE {literal(timezone)}"
        f" ELSE coalesce(TRY_CAST({text} AS TIMESTAMP), try_strptime({text}, {_SLASHED})) END"
    )
