"""The contract comes in; out comes its page, in English or Chinese: `python -m features.contract_page en`."""

import sys

from features.contract import CORE_TABLES, SCHEMA, SCHEMA_VERSION, Column, TableSpec
from features.rules import RULES

_INTRO = {
    "en": f"""# The input contract, version {SCHEMA_VERSION}

*Printed from the code by `python -m features.contract_page en`. 中文版：[data-contract.zh.md](data-contract.zh.md).*

**Needed to start:** {", ".join(f"`{t}`" for t in CORE_TABLES)}. Contact lists also need `stores`, `guides` and
`assignments`. Everything else improves something. `huitou check DIR` says what is right and what isn't;
`huitou check DIR --out OUT` writes `OUT/report.json` and the quarantined rows under `OUT/quarantine`.

## Files

- One directory is one export: `orders.csv` or `orders.parquet`, or a directory `orders/` of parts, and so on for each table.
- CSV: UTF-8, UTF-8 with BOM, GB18030 (GBK) or UTF-16; comma, tab, semicolon or bar; a header line with the names below.
- Parquet: any types that say the same. Ids as strings.
- Ids are strings from end to end, case-sensitive; leading zeros count. Give an id of eleven digits that begins with 13 to
  19 a prefix, or it is taken for a mobile number.
- Times are ISO 8601, brand-local where they have no offset. Days such as `2026-03-01`.
- Money is in **yuan**, never negative; the direction is in the type of the row. Booleans are 0 and 1. Empty is empty.
- No clear mobile number anywhere: `huitou hash-mobile FILE.csv --column mobile --key-file KEY` makes the keyed hash
  (HMAC-SHA256 of the 11 digits) on your side. Make the key once with `huitou hash-mobile --new-key KEY` and keep it.

`manifest.json` is optional and worth writing:

```json
{{
  "schema_version": "{SCHEMA_VERSION}", "brand_id": "…", "timezone": "Asia/Shanghai", "currency": "CNY", "amount_unit": "yuan",
  "mode": "full", "exported_at": "2026-07-01T02:00:00", "coverage_start": "2024-01-01", "coverage_end": "2026-06-30",
  "files": {{"orders.csv": {{"rows": 400000, "sha256": "…"}}}}
}}
```

`coverage_end` is the last day the export holds whole; the last order's day where it is not given.

**Incremental exports:** put the exports side by side as sub-directories of one folder, each with its manifest, and check
that folder. The last one with `"mode": "full"` and every later one with `"mode": "incremental"` are read, in the order of
`exported_at`. A row replaces the row of the same key if its `updated_at` is newer or, without one, if its export is
later. An increment replaces and adds rows; it removes none.
""",
    "zh": f"""# 输入数据契约，版本 {SCHEMA_VERSION}

*由代码生成：`python -m features.contract_page zh`。English: [data-contract.md](data-contract.md).*

**起步必需：**{"、".join(f"`{t}`" for t in CORE_TABLES)}。导购联系清单另需 `stores`、`guides`、`assignments`。其余各表有则更好。
用 `huitou check 目录` 检查；加 `--out 输出目录` 会写出 `report.json`，并把被隔离的行写到 `quarantine` 下。

## 文件

- 一个目录即一次导出：`orders.csv` 或 `orders.parquet`，或目录 `orders/` 下的多个分片；各表同理。
- CSV 编码：UTF-8、带 BOM 的 UTF-8、GB18030（GBK）、UTF-16；分隔符可为逗号、制表符、分号、竖线；首行为列名。
- Parquet：类型含义一致即可；编号用字符串。
- 编号自始至终是字符串，区分大小写，保留前导零。若编号恰为 13～19 开头的 11 位数字，请加前缀，否则会被当作手机号。
- 时间用 ISO 8601，不带时区时按品牌当地时间。日期如 `2026-03-01`。
- 金额单位为**元**，不为负；方向看行的类型。布尔值用 0 和 1。空值留空。
- 任何地方都不得出现明文手机号：在品牌侧用 `huitou hash-mobile 文件.csv --column mobile --key-file 密钥文件` 生成带密钥的摘要
  （对 11 位数字做 HMAC-SHA256）。密钥用 `huitou hash-mobile --new-key 密钥文件` 生成一次，妥善保管，每次导出都用同一个。

`manifest.json` 可省略，建议提供：

```json
{{
  "schema_version": "{SCHEMA_VERSION}", "brand_id": "…", "timezone": "Asia/Shanghai", "currency": "CNY", "amount_unit": "yuan",
  "mode": "full", "exported_at": "2026-07-01T02:00:00", "coverage_start": "2024-01-01", "coverage_end": "2026-06-30",
  "files": {{"orders.csv": {{"rows": 400000, "sha256": "…"}}}}
}}
```

`coverage_end` 是数据完整的最后一天；不写则取最后一张订单的日期。

**增量导出：**把各次导出放在同一目录的不同子目录下，各带 manifest，检查该目录即可。读取最后一次 `"mode": "full"` 的全量，以及其后
所有 `"mode": "incremental"` 的增量，按 `exported_at` 排序。主键相同时，`updated_at` 较新者替换较旧者；没有 `updated_at` 则以较晚的
导出为准。增量只新增和替换，不删除。
""",
}
_HEADS = {
    "en": (
        "column",
        "type",
        "needed",
        "meaning",
        "## Tables",
        "Key",
        "Needed for",
        "## Rules",
        "rule",
        "looks for",
        "then",
    ),
    "zh": ("列", "类型", "必填", "含义", "## 表", "主键", "用于", "## 检查规则", "规则", "检查什么", "处理"),
}
_UNITS_ZH = {
    "yuan": "元",
    "brand-local time": "当地时间",
    "brand-local day": "当地日期",
    "points": "积分",
    "pieces": "件",
    "units": "单位数",
    "share": "比例",
    "days": "天",
    "seconds": "秒",
    "milliseconds": "毫秒",
    "contacts a day": "人次／天",
}
_CARD = {
    "en": """## One person, one member

`huitou identities DIR` finds cards that belong to one person by the identifiers they share, in this order of trust: a card
the brand merged itself, unionid, verified mobile_hmac, external_userid, openid, alipay, jd, tmall_ouid, douyin_openid. Every
identifier counts within its id_scope only. Cards merge unless they disagree about an identifier of higher trust, more than
three members claim the identifier, a mobile changed hands (last seen over twelve months apart, with different unionids) or
is not verified, or a person decided otherwise. Such cases are queued with their reason. Devices, names, birthdays and
addresses never merge anybody, and deregistered members are left alone. `--apart A B`, `--same A B` and `--unmerge OLD` keep
a decision in the file of `--decisions`; the tables themselves are never changed, so that a merge can be taken back whole.

## Where other systems keep these

| here | EZR 驿氪 | WeCom 企业微信 | 有数 | WeChat shop |
|---|---|---|---|---|
| member_id | OldCode (Code is the online card: identities, ezr_code) | – | wx_user.user_id | – |
| unionid, openid | WxUnionID, WxOpenID | external_contact.unionid | union_id, open_id with app_id | openid |
| mobile_hmac | from MobileNo | remark_mobiles: typed by guides, so not verified | – | – |
| store_id, guide_id | ShopCode; SalerCode, UserCode | department; userid | shipping_shop_id | – |
| order_id, item_id | SaleNo, TradeNo, OrderCode; ItemNo | – | order_id; sku_id | order_id; sku_id; amounts in 分 |
| register_channel | RegShop… | state, add_way | chan_* | – |
| template_id | CoupGrpId, CoupGrpCode | – | – | – |

A card merge (EZR push 1215) is an identity of the new member: id_type `card`, id_value the old card's number. The old
number still answers, and its orders count for the new one. A deregistration is `status` deregistered and, where the data
must go, a row in `deletions`.
""",
    "zh": """## 一人一会员（OneID）

`huitou identities 目录` 按共同的标识找出属于同一个人的会员卡，信任顺序为：品牌已并的卡、unionid、已核实的 mobile_hmac、
external_userid、openid、alipay、jd、tmall_ouid、douyin_openid；每个标识只在其 id_scope 内有效。以下情况不合并，而是带着原因进入待处理
队列：更高信任的标识互相矛盾；同一标识被三个以上会员占用；手机号疑似换人（最近出现相隔超过十二个月且 unionid 不同）；手机号未核实；有人判定
过不是同一人。设备号、姓名、生日、地址从不用于合并，已注销会员不参与合并。`--apart A B`、`--same A B`、`--unmerge 旧卡号` 会把人的判定
写入 `--decisions` 指定的文件；原始表从不改动，因此合并可以完整撤回。

## 与其他系统的对应

| 本契约 | EZR 驿氪 | 企业微信 | 有数 | 微信小店 |
|---|---|---|---|---|
| member_id | OldCode（Code 为线上卡号：identities 的 ezr_code） | – | wx_user.user_id | – |
| unionid、openid | WxUnionID、WxOpenID | external_contact.unionid | union_id、open_id（配 app_id） | openid |
| mobile_hmac | 由 MobileNo 生成 | remark_mobiles（导购手填，不算已核实） | – | – |
| store_id、guide_id | ShopCode；SalerCode、UserCode | department；userid | shipping_shop_id | – |
| order_id、item_id | SaleNo、TradeNo、OrderCode；ItemNo | – | order_id；sku_id | order_id；sku_id；金额单位为分 |
| register_channel | RegShop… | state、add_way | chan_* | – |
| template_id | CoupGrpId、CoupGrpCode | – | – | – |

并卡（EZR 推送 1215）写成新会员的一条标识：id_type 为 `card`，id_value 为旧卡号。旧卡号仍可查询，其订单计入新会员。
注销写 `status` = deregistered；需要删除数据时，另在 `deletions` 加一行。
""",
}


def page(language: str) -> str:
    """The whole page in "en" or "zh"."""
    heads = _HEADS[language]
    parts = [_INTRO[language], heads[4], ""]
    parts += [_table(spec, language) for spec in SCHEMA.values()]
    parts += [heads[7], "", f"| {heads[8]} | {heads[9]} | {heads[10]} |", "|---|---|---|"]
    for rule in RULES:
        told = (rule.looks_for, rule.follows) if language == "en" else (rule.looks_for_zh, rule.follows_zh)
        parts.append(f"| `{rule.code}` | {told[0]} | {told[1]} |")
    return "\n".join([*parts, "", _CARD[language]])


def _table(spec: TableSpec, language: str) -> str:
    heads, english = _HEADS[language], language == "en"
    key = ", ".join(f"`{k}`" for k in spec.key)
    lines = [
        f"### {spec.name}",
        "",
        spec.meaning if english else spec.meaning_zh,
        f"{heads[5]}: {key}. {heads[6]}: {spec.needed_for}."
        if english
        else f"{heads[5]}：{key}。{heads[6]}：{spec.needed_for_zh}。",
        "",
        "| " + " | ".join(heads[:4]) + " |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_column(c, english) for c in spec.columns), ""])


def _column(column: Column, english: bool) -> str:
    needed = ("yes" if english else "是") if column.required else ""
    told = column.meaning if english else column.meaning_zh
    if column.values:
        told += ": " + " ".join(f"`{v}`" for v in column.values)
    if column.default is not None:
        told += f"; empty means {column.default}" if english else f"；为空即 {column.default}"
    unit = column.unit if english or column.unit is None else _UNITS_ZH[column.unit]
    kind = f"{column.kind}, {unit}" if unit else column.kind
    return f"| `{column.name}` | {kind} | {needed} | {told} |"


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1] if len(sys.argv) > 1 else "en"))
