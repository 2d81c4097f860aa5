"""The rules of the input contract by the code that findings carry: what each looks for and what follows, once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule: its code, what it looks for, and what becomes of the rows, in English and Chinese."""

    code: str
    looks_for: str
    follows: str
    looks_for_zh: str
    follows_zh: str


_REFUSED, _REFUSED_ZH = "the file is refused", "拒收该文件"
_QUARANTINED, _QUARANTINED_ZH = "the rows are quarantined", "隔离这些行"
_WARNED, _WARNED_ZH = "a warning", "警告"
_NOTED, _NOTED_ZH = "counted", "仅计数"

RULES: tuple[Rule, ...] = (
    Rule("missing_table", "a core table that is not there, or has no row that can be kept", "the folder is refused", "缺少核心表，或其中没有可用的行", "拒收整个目录"),
    Rule("unreadable", "a file that can't be read, or lacks a required column", _REFUSED, "文件无法读取，或缺少必填列", _REFUSED_ZH),
    Rule("checksum", "another sha256 than the manifest's", _REFUSED, "sha256 与 manifest 不符", _REFUSED_ZH),
    Rule("row_count", "another number of rows than the manifest's", _REFUSED, "行数与 manifest 不符", _REFUSED_ZH),
    Rule("missing_file", "a file the manifest lists and that is not there", _REFUSED, "manifest 列出的文件不存在", _REFUSED_ZH),
    Rule("unknown_file", "a data file that belongs to no table", "not read", "不属于任何表的数据文件", "不读取"),
    Rule("extra_column", "a column the contract doesn't know; a near miss is said", "not read", "契约之外的列（疑似拼写错误会提示）", "不读取"),
    Rule("clear_mobile", "clear mobile numbers in any column (11 digits from 13 to 19, also with +86, blanks or dashes)", _REFUSED + "; nothing of it is written anywhere", "任何列里的明文手机号（含 +86、空格、短横线写法）", "拒收该文件，且不落盘任何内容"),
    Rule("quarantined", "a required cell that is missing or can't be read, an amount below zero, a return without its time, a line whose order was left out", _QUARANTINED + "; from 20 % on the file is refused", "必填项缺失或无法解析、金额为负、退货行没有退货时间、所属订单被剔除的行", "隔离这些行；达到 20% 拒收该文件"),
    Rule("emptied", "an optional cell that can't be read", "the cell is emptied", "选填项无法解析", "该格置空"),
    Rule("duplicate_row", "the same row twice", "one is kept, the others are quarantined", "完全相同的行", "保留一行，其余隔离"),
    Rule("duplicate_key", "the same key with other values", "the newest is kept (by updated_at, then by file, then the greatest); from 2 % on the file is refused", "主键相同而内容不同", "保留最新一行（先比 updated_at，再比文件，再比内容）；达到 2% 拒收"),
    Rule("orphan_line", "lines whose order was not given", _QUARANTINED + "; from 2 % on the file is refused", "没有对应订单的明细行", "隔离；达到 2% 拒收"),
    Rule("orphan_item", "lines of items that were not given", "kept, with an item that is off the shelf; from 2 % on the file is refused", "没有对应商品的明细行", "保留，并补一个下架商品；达到 2% 拒收"),
    Rule("orphan_member", "orders of members who were not given; says so if only leading zeros are missing", "kept as anonymous sales; from 2 % on the file is refused", "没有对应会员的订单（若只是丢了前导零会提示）", "按散客保留；达到 2% 拒收"),
    Rule("unknown_id", "other ids that lead nowhere", _WARNED, "其他找不到对应行的编号", _WARNED_ZH),
    Rule("order_without_lines", "orders without a line", "they count as no purchase", "没有明细的订单", "不计为购买"),
    Rule("store_missing", "store sales without store_id", _WARNED, "门店订单没有 store_id", _WARNED_ZH),
    Rule("id_scientific", "ids in scientific notation, such as 1.38E+10", "rows that need the id are quarantined; from 1 % on the file is refused", "科学计数法的编号，如 1.38E+10", "必填编号的行被隔离；达到 1% 拒收"),
    Rule("id_point_zero", "ids that end in .0", "a warning; above 1 % of a required id the file is refused", "以 .0 结尾的编号", "警告；必填编号超过 1% 拒收"),
    Rule("leading_zeros_lost", "card numbers of one width, apart from a few shorter ones", _WARNED, "卡号等长，少数偏短（可能丢了前导零）", _WARNED_ZH),
    Rule("unit", "a median order below 1 or above 50,000 yuan", "the file is refused, unless the manifest says amount_unit yuan: then a warning", "订单金额中位数低于 1 元或高于 5 万元", "拒收；manifest 写明 amount_unit 为 yuan 时改为警告"),
    Rule("unit_perhaps", "large round amounts without 角 and 分: 分 perhaps", _WARNED, "金额大且几乎都是整十数，疑似以分为单位", _WARNED_ZH),
    Rule("unit_by_channel", "one channel in 分 among others in 元: the same goods cost about a hundred times as much there", _REFUSED, "某渠道疑似以分为单位：同样商品贵约一百倍", _REFUSED_ZH),
    Rule("unit_of_lines", "lines, orders and list prices that differ by about a factor of 100", _REFUSED, "明细、订单、吊牌价之间相差约一百倍", _REFUSED_ZH),
    Rule("sum_mismatch", "an order that differs from the sum of its lines by more than 1 yuan, with or without freight and points", _WARNED, "订单实付与明细合计相差超过 1 元（运费、积分均已考虑）", _WARNED_ZH),
    Rule("free_sale", "sale lines of 0 yuan, above 0.5 %", _NOTED, "0 元的销售行超过 0.5%", _NOTED_ZH),
    Rule("future_time", "times after the export", "orders are quarantined, others a warning", "晚于导出日的时间", "订单隔离，其余警告"),
    Rule("far_time", "a handful of orders, half a year and more from all others", _QUARANTINED, "与其他订单相隔半年以上的零星订单", _QUARANTINED_ZH),
    Rule("order_before_registration", "orders before the member joined", _NOTED, "早于入会时间的订单", _NOTED_ZH),
    Rule("date_only", "more than 5 % of orders at 00:00:00", _WARNED, "超过 5% 的订单时间为 00:00:00", _WARNED_ZH),
    Rule("coverage_gap", "days on which a store has under a fifth of its weekday's median orders; where that is few, chance makes such days, so an empty day counts from a median of 10 on and a thin one from 25 on", _WARNED, "某门店某天订单不足同星期几中位数的五分之一（中位数较小时偶然也会如此：空白日从中位数 10 起、稀少日从 25 起才计）", _WARNED_ZH),
    Rule("coverage_gap_brand", "the same for the whole brand", _WARNED, "全品牌某天订单不足同星期几中位数的五分之一", _WARNED_ZH),
    Rule("late_upload", "orders that became known more than three days later", _NOTED, "三天后才上传的订单", _NOTED_ZH),
    Rule("return_without_sale", "returns whose sale is not there", _WARNED, "找不到原销售的退货", _WARNED_ZH),
    Rule("return_over_sale", "returns of more pieces than were sold", _WARNED, "退货件数多于销售件数", _WARNED_ZH),
    Rule("default_birthday", "one birthday or birth year for more than 30 %", "read as empty", "超过 30% 的会员生日或出生年相同（默认值）", "按空值处理"),
    Rule("suspected_shared_card", "a card with more than 20 orders or 5 stores in a day", _WARNED, "一天超过 20 单或 5 家门店的会员卡", _WARNED_ZH),
    Rule("overlapping_assignments", "a member with two guides at a time", "the earlier one ends where the later begins", "会员同时有两个导购", "较早的在较晚的开始时结束"),
    Rule("guide_left", "members assigned to guides who left", _WARNED, "会员仍归属已离职导购", _WARNED_ZH),
    Rule("store_closed", "members assigned to closed stores", _WARNED, "会员仍归属已闭店门店", _WARNED_ZH),
    Rule("unmasked_name", "display names without a mask", "cut to the first character", "未脱敏的称呼", "只保留第一个字"),
    Rule("test_store", "stores that are called test", _WARNED, "名称像测试的门店", _WARNED_ZH),
)  # fmt: skip
