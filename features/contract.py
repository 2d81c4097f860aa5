"""The input contract: every table and column a brand may hand over, spelled once.

Nothing comes in; out comes `SCHEMA`, from which files are typed, checked and documented. Ids are strings from end
to end, money is yuan, times are brand-local without an offset (Asia/Shanghai unless the manifest names another zone).
"""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["str", "int", "float", "bool", "timestamp", "date", "enum"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    `required`: an empty cell takes its row out. `values`: what an enum may hold (None for an open list).
    `default`: what an empty cell means; it is filled in. `minimum`: the smallest number that makes sense.
    `is_id`: an identifier, compared as text, never parsed as a number.
    """

    name: str
    kind: Kind
    required: bool
    meaning: str
    meaning_zh: str = ""
    unit: str | None = None
    values: tuple[str, ...] | None = None
    default: str | None = None
    minimum: float | None = None
    is_id: bool = False


@dataclass(frozen=True)
class TableSpec:
    """One table: its key, its columns in order, and what it is for."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    meaning: str
    meaning_zh: str
    needed_for: str
    needed_for_zh: str
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {c.name: c for c in self.columns})

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def required_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns if c.required)


def _id(name: str, meaning: str, zh: str, *, required: bool = False) -> Column:
    return Column(name, "str", required, meaning, zh, is_id=True)


def _str(name: str, meaning: str, zh: str, *, required: bool = False, default: str | None = None) -> Column:
    return Column(name, "str", required, meaning, zh, default=default)


def _enum(
    name: str, values: str | None, meaning: str, zh: str, *, required: bool = False, default: str | None = None
) -> Column:
    listed = tuple(values.split()) if values else None
    return Column(name, "enum", required, meaning, zh, values=listed, default=default)


def _time(name: str, meaning: str, zh: str, *, required: bool = False) -> Column:
    return Column(name, "timestamp", required, meaning, zh, unit="brand-local time")


def _date(name: str, meaning: str, zh: str, *, required: bool = False) -> Column:
    return Column(name, "date", required, meaning, zh, unit="brand-local day")


def _yuan(name: str, meaning: str, zh: str, *, required: bool = False) -> Column:
    return Column(name, "float", required, meaning, zh, unit="yuan", minimum=0)


def _int(
    name: str,
    meaning: str,
    zh: str,
    *,
    required: bool = False,
    unit: str | None = None,
    minimum: float | None = 0,
    default: str | None = None,
) -> Column:
    return Column(name, "int", required, meaning, zh, unit=unit, minimum=minimum, default=default)


def _num(name: str, meaning: str, zh: str, *, unit: str, minimum: float | None = 0) -> Column:
    return Column(name, "float", False, meaning, zh, unit=unit, minimum=minimum)


def _bool(name: str, meaning: str, zh: str, *, default: str | None = None) -> Column:
    return Column(name, "bool", False, meaning, zh, default=default)


_UPDATED = _time(
    "updated_at",
    "When this row last changed; the newest wins in an incremental export",
    "本行最近修改时间；增量导出时以最新为准",
)

ORDER_CHANNELS = "store wechat_mp alipay_mp jd tmall douyin channels app other"
CONTACT_CHANNELS = (
    "wecom_1v1 wecom_mass wecom_moment wecom_group sms call_human call_ai mp_subscribe push store_visit other"
)
ID_TYPES = "card mobile_hmac unionid openid external_userid alipay jd tmall_ouid douyin_openid device ezr_code"
OUTCOMES = (
    "none sent read replied appointment visited ordered no_answer snoozed not_suitable refused do_not_contact"
    " wrong_person unfriended complaint skipped"
)
PURPOSES = (
    "service personalised_recommendation marketing_wecom marketing_sms marketing_call profile_cross_brand"
    " share_ads chat_archive"
)

_MEMBERS = TableSpec(
    "members",
    ("member_id",),
    (
        _id("member_id", "The brand's card number", "品牌会员卡号（EZR 的 OldCode）", required=True),
        _id("brand_id", "The brand; the manifest's when empty", "品牌；为空时取 manifest 的值"),
        _time("registered_at", "When the member joined", "入会时间", required=True),
        _str("register_channel", "Where the member came from (WeCom state)", "入会渠道（企业微信 state／渠道码）"),
        _id("register_store_id", "Store where the member joined", "入会门店"),
        _id("home_store_id", "Store that looks after the member", "归属门店"),
        _str("level", "Name of the membership level", "会员等级名称"),
        _int("level_order", "Rank of the level, higher is better", "等级序号，越大越高", minimum=None),
        _enum("level_type", "free paid", "Free or paid membership", "免费或付费会员"),
        _enum("gender", "f m u", "Gender as given by the member", "会员自填性别"),
        _int("birth_year", "Year of birth", "出生年", minimum=1900),
        _str("birthday", "MM-DD", "生日，月-日"),
        _enum("birthday_calendar", "solar lunar", "Calendar of the birthday", "生日为公历或农历", default="solar"),
        _str("city", "City", "城市"),
        _int("points_balance", "Points at updated_at", "积分余额（截至 updated_at）", unit="points", minimum=None),
        _bool("is_staff", "Staff card", "员工卡", default="0"),
        _bool("is_wholesale", "Wholesale or reseller card", "批发／转售卡", default="0"),
        _enum("status", "active frozen deregistered", "State of the card", "会员卡状态", required=True),
        _id("referrer_member_id", "Member who brought this one", "推荐人会员卡号"),
        _str("display_name", "Masked at export, for instance 王*", "导出时已脱敏的称呼，如 王*"),
        _UPDATED,
    ),
    "One row a member. No name, no clear mobile, no address.",
    "每个会员一行。不收姓名、明文手机号、住址。",
    "everything",
    "全部功能",
)

_IDENTITIES = TableSpec(
    "identities",
    ("id_type", "id_scope", "id_value", "member_id"),
    (
        _id("member_id", "Member this identifier was seen with", "该标识所属会员", required=True),
        _enum("id_type", ID_TYPES, "What kind of identifier", "标识类型", required=True),
        _id(
            "id_scope",
            "App, corporation or open-platform account within which the value holds; '-' if none",
            "标识有效范围（app_id、corp_id、开放平台账号）；没有则填 '-'",
            required=True,
        ),
        _id(
            "id_value",
            "The identifier; a mobile only as keyed HMAC",
            "标识值；手机号只收带密钥的 HMAC",
            required=True,
        ),
        _bool("verified", "Checked by the platform or by a code", "是否经平台或验证码核实", default="0"),
        _time("first_seen", "First seen", "首次出现"),
        _time("last_seen", "Last seen", "最近出现"),
        _time("valid_to", "No longer valid from then on", "失效时间"),
    ),
    "Identifiers of members across apps and platforms. Several members may claim one: all rows are kept.",
    "会员在各应用、平台的标识。同一标识可被多个会员占用，各行都保留。",
    "one identity a person",
    "OneID",
)

_ORDERS = TableSpec(
    "orders",
    ("order_id",),
    (
        _id("order_id", "Receipt or order number", "小票号／订单号", required=True),
        _id("member_id", "Buyer; empty for an anonymous sale", "购买会员；散客为空"),
        _time("order_time", "When the sale happened", "下单／成交时间", required=True),
        _time("paid_at", "When it was paid", "支付时间"),
        _enum("channel", ORDER_CHANNELS, "Where it was sold", "销售渠道", required=True),
        _id("store_id", "Selling store; needed for channel store", "销售门店；channel=store 时必填"),
        _id("guide_id", "Selling guide", "成交导购"),
        _id("cashier_id", "Cashier, who need not be the guide", "收银员（不一定是导购）"),
        _enum("status", "paid completed cancelled closed", "State of the order", "订单状态", required=True),
        _time("status_at", "When the order got this status", "进入该状态的时间"),
        _yuan("paid_yuan", "Paid for the order after all discounts", "实付金额（元），已减全部优惠", required=True),
        _yuan("list_yuan", "Sum of list prices", "吊牌金额"),
        _yuan("discount_yuan", "Discount", "优惠金额"),
        _yuan("points_yuan", "Paid with points", "积分抵扣金额"),
        _yuan("freight_yuan", "Freight", "运费"),
        _id("coupon_id", "Coupon used", "所用券"),
        _id("campaign_id", "Campaign", "所属活动"),
        _time(
            "loaded_at",
            "When the row became known to head office; order_time when empty",
            "总部得知本单的时间；为空则取 order_time",
        ),
        _enum(
            "order_type", "normal gift_card staff wholesale exchange", "Kind of order", "订单类型", default="normal"
        ),
        _UPDATED,
    ),
    "One row a receipt. Amounts are never negative: the direction is in the type.",
    "每张小票一行。金额不为负，方向看类型。",
    "everything",
    "全部功能",
)

_ORDER_LINES = TableSpec(
    "order_lines",
    ("order_id", "line_no"),
    (
        _id("order_id", "Order of the line", "所属订单", required=True),
        _int("line_no", "Number of the line within its order", "行号", required=True),
        _enum(
            "line_type", "sale return gift sample", "Kind of line", "行类型：销售、退货、赠品、小样", required=True
        ),
        _id("item_id", "SKU", "商品 SKU", required=True),
        _int(
            "qty",
            "Pieces, above zero also for returns",
            "件数，退货也填正数",
            required=True,
            unit="pieces",
            minimum=1,
        ),
        _yuan("paid_yuan", "The line's share after all discounts", "本行实付（元），已分摊全部优惠", required=True),
        _yuan("unit_list_yuan", "List price of one piece", "单件吊牌价"),
        _time("returned_at", "When it came back; needed for return lines", "退货时间；退货行必填"),
        _id("orig_order_id", "Order of the sale that is returned", "退货对应的原订单"),
        _int("orig_line_no", "Line of the sale that is returned", "退货对应的原行号"),
        _str("return_reason", "Why it came back", "退货原因"),
        _UPDATED,
    ),
    "One row an item on a receipt. Returns are lines of the same order or orders of their own.",
    "小票上每个商品一行。退货可以是同单的行，也可以是单独的退货单。",
    "everything",
    "全部功能",
)

_ITEMS = TableSpec(
    "items",
    ("item_id",),
    (
        _id("item_id", "SKU", "商品 SKU", required=True),
        _id("spu_id", "Style; item_id if there is none", "款号；没有则填 item_id", required=True),
        _str("title", "Title as shown to members", "商品名称", required=True),
        _str("category_l1", "Category", "一级类目", required=True),
        _str("category_l2", "Sub-category", "二级类目"),
        _str("category_l3", "Sub-sub-category", "三级类目"),
        _str("product_brand", "Brand of the product", "商品品牌"),
        _yuan("list_yuan", "List price", "吊牌价"),
        _date("launch_date", "First day on sale", "上市日期"),
        _date("off_shelf_date", "Last day on sale", "下架日期"),
        _enum("status", "on off", "On sale or not", "在售／下架", required=True),
        _str("season", "Season", "季节"),
        _str("gender_target", "Made for", "适用性别"),
        _str("size", "Size", "尺码"),
        _str("colour", "Colour", "颜色"),
        _num("pack_size", "Units a pack, for replenishment", "每件含量（单位数），用于补货周期", unit="units"),
        _bool("is_gift_or_sample", "Gift or sample", "赠品或小样", default="0"),
        _enum("item_type", "product content service", "Kind of item", "类型：商品、内容、服务", default="product"),
        _str("image_url", "Picture", "图片地址"),
        _str("mp_page", "Page in the mini-program", "小程序页面路径"),
        _UPDATED,
    ),
    "One row a SKU.",
    "每个 SKU 一行。",
    "everything",
    "全部功能",
)

_STORES = TableSpec(
    "stores",
    ("store_id",),
    (
        _id("store_id", "Store", "门店编号", required=True),
        _str("name", "Name", "门店名称", required=True),
        _str("region", "Region", "大区"),
        _str("city", "City", "城市"),
        _date("open_date", "Opened", "开业日期"),
        _date("close_date", "Closed", "闭店日期"),
        _enum("type", "direct franchise counter online", "Kind of store", "直营、加盟、专柜、线上"),
        _UPDATED,
    ),
    "One row a store.",
    "每个门店一行。",
    "contact lists",
    "导购联系清单",
)

_GUIDES = TableSpec(
    "guides",
    ("guide_id",),
    (
        _id("guide_id", "Guide", "导购编号（EZR 的 UserCode／SalerCode）", required=True),
        _id("store_id", "Store of the guide", "所属门店", required=True),
        _id("wecom_userid", "WeCom user id", "企业微信 userid"),
        _enum("role", "guide manager hq service", "Role", "角色：导购、店长、总部、客服", required=True),
        _enum("status", "active leave left", "Working, on leave or gone", "在职、休假、离职", required=True),
        _int("daily_capacity", "Contacts a day", "每天可联系人数", unit="contacts a day", default="20"),
        _date("hired_at", "First day", "入职日期"),
        _date("left_at", "Last day", "离职日期"),
        _UPDATED,
    ),
    "One row a guide.",
    "每个导购一行。",
    "contact lists",
    "导购联系清单",
)

_ASSIGNMENTS = TableSpec(
    "assignments",
    ("member_id", "guide_id", "start_at"),
    (
        _id("member_id", "Member", "会员", required=True),
        _id("guide_id", "Guide who looks after the member", "负责导购", required=True),
        _id("store_id", "Store", "门店"),
        _time("start_at", "From", "开始时间", required=True),
        _time("end_at", "To; empty while it lasts", "结束时间；未结束为空"),
        _enum("source", "register manual transfer resign_inherit system", "How it came about", "来源"),
        _bool("is_friend", "WeCom friends", "是否企业微信好友"),
        _time("friend_since", "Friends since", "成为好友时间"),
        _time("friend_lost_at", "No longer friends since", "失去好友时间"),
        _enum("lost_by", "customer guide", "Who ended it", "由谁删除"),
        _UPDATED,
    ),
    "Which guide looks after which member, as intervals.",
    "会员由哪个导购负责，按时间段。",
    "contact lists",
    "导购联系清单",
)

_STOCK = TableSpec(
    "stock",
    ("store_id", "item_id", "as_of"),
    (
        _id("store_id", "Store", "门店", required=True),
        _id("item_id", "SKU", "商品 SKU", required=True),
        _date("as_of", "Day of the count", "盘点日期", required=True),
        _int("qty", "Pieces at hand", "在库件数", required=True, unit="pieces", minimum=None),
    ),
    "Pieces at hand by store and day.",
    "各门店各日的在库件数。",
    "recommending only what the store can sell",
    "只推荐门店有货的商品",
)

_CALENDAR = TableSpec(
    "calendar",
    ("date", "name"),
    (
        _date("date", "Day", "日期", required=True),
        _str("name", "Name of the day or campaign", "节日或活动名称", required=True),
        _str("kind", "Kind of day", "类别"),
    ),
    "The brand's own days of note, beside the festivals that ship with the product.",
    "品牌自己的重要日子；通用节日已随产品提供。",
    "calendar features",
    "日历特征",
)

_BEHAVIOURS = TableSpec(
    "behaviours",
    ("event_id",),
    (
        _id("event_id", "Event; made from the row when empty", "事件编号；为空则由整行生成"),
        _id("member_id", "Member, or give the three id columns", "会员；或填后面三列标识"),
        _enum("id_type", ID_TYPES, "Kind of identifier", "标识类型"),
        _id("id_scope", "Scope of the identifier", "标识范围"),
        _id("id_value", "Identifier", "标识值"),
        _time("event_time", "When", "发生时间", required=True),
        _enum(
            "event_type",
            None,
            "What happened: expose click view collect add_cart remove_cart submit_order pay search coupon_receive"
            " share checkin rec_impression rec_click login; others are kept and counted",
            "事件类型：曝光、点击、浏览、收藏、加购、减购、下单、支付、搜索、领券、分享、签到、推荐曝光、推荐点击、登录；"
            "其他类型保留并计数",
            required=True,
        ),
        _id("app_id", "App or mini-program", "应用／小程序"),
        _id("item_id", "SKU", "商品 SKU"),
        _id("content_id", "Content", "内容"),
        _num("qty", "Pieces", "件数", unit="pieces"),
        _int("dwell_ms", "Time on the page", "停留时长", unit="milliseconds"),
        _str("query", "Search words", "搜索词"),
        _id("store_id", "Store", "门店"),
        _id("rec_request_id", "Recommendation request that led here", "来源推荐请求号"),
        _str("source", "Source", "来源"),
    ),
    "Mini-program and app events; 90 days wanted, 13 months useful.",
    "小程序与 App 行为；希望 90 天以上，13 个月更好。",
    "better scores and lists",
    "提升预测与清单质量",
)

_CONTACTS = TableSpec(
    "contacts",
    ("contact_id",),
    (
        _id("contact_id", "Contact", "触达编号", required=True),
        _id("member_id", "Member", "会员", required=True),
        _id("guide_id", "Guide", "导购"),
        _enum("channel", CONTACT_CHANNELS, "Channel", "触达渠道", required=True),
        _time("planned_at", "Planned for", "计划时间"),
        _time("sent_at", "Sent; empty if it was not", "发送时间；未发送为空"),
        _id("task_id", "Task", "任务编号"),
        _id("campaign_id", "Campaign", "活动"),
        _str("arm", "Arm of a trial", "实验分组"),
        _enum(
            "content_type",
            "marketing interaction care daily service",
            "What it was about",
            "内容类别：营销、互动、关怀、日常、服务",
            required=True,
        ),
        _enum(
            "send_status",
            "not_sent sent not_friend quota refused invalid failed",
            "What became of the sending (WeCom 0, 1, 2, 3 are the first four)",
            "发送结果（企业微信 0、1、2、3 依次为前四个）",
            required=True,
        ),
        _enum("outcome", OUTCOMES, "What came of it", "触达结果"),
        _time("outcome_at", "When it came", "结果时间"),
        _int("talk_seconds", "Length of the call", "通话时长", unit="seconds"),
        _str("items", "Items proposed, a JSON list", "推荐的商品，JSON 列表"),
        _yuan("cost_yuan", "Cost of the contact", "触达成本"),
        _str("note_code", "A code, no free text", "备注代码，不收自由文本"),
        _UPDATED,
    ),
    "Past contacts of every channel, sent or not.",
    "各渠道历史触达，含未发送。",
    "uplift, fatigue and return on contact",
    "增量、疲劳度与投入产出",
)

_CAMPAIGNS = TableSpec(
    "campaigns",
    ("campaign_id",),
    (
        _id("campaign_id", "Campaign", "活动编号", required=True),
        _str("name", "Name", "活动名称", required=True),
        _str("objective", "What it is for", "活动目标", required=True),
        _time("start_at", "From", "开始时间", required=True),
        _time("end_at", "To", "结束时间", required=True),
        _yuan("cost_yuan", "Cost", "成本"),
        _num("margin_rate", "Margin as a share of revenue", "毛利率", unit="share", minimum=None),
        _str("audience_query", "How the audience was chosen", "人群条件"),
        _num("holdout_share", "Share left out on purpose", "对照组比例", unit="share"),
        _str("published_rule_text", "The published rule, where it carries a benefit", "公示规则（含权益的活动必填）"),
        _int("attribution_days", "Days in which a purchase counts", "归因天数", unit="days", default="7"),
        _UPDATED,
    ),
    "Campaigns.",
    "营销活动。",
    "campaign reports",
    "活动报告",
)

_CAMPAIGN_MEMBERS = TableSpec(
    "campaign_members",
    ("campaign_id", "member_id"),
    (
        _id("campaign_id", "Campaign", "活动", required=True),
        _id("member_id", "Member", "会员", required=True),
        _enum("arm", "treat holdout", "Treated or held out", "实验组或对照组", required=True),
        _time("assigned_at", "When the arm was drawn", "分组时间", required=True),
    ),
    "Who was treated and who was held out.",
    "谁在实验组，谁在对照组。",
    "campaign reports",
    "活动报告",
)

_COUPONS = TableSpec(
    "coupons",
    ("coupon_id",),
    (
        _id("coupon_id", "Coupon", "券号", required=True),
        _id("template_id", "Template with the published rule", "券模板（公示规则）", required=True),
        _id("member_id", "Member", "会员", required=True),
        _time("issued_at", "Issued", "发放时间", required=True),
        _time("valid_from", "Valid from", "生效时间"),
        _time("valid_to", "Valid to", "失效时间", required=True),
        _enum("status", "issued used expired void transferred", "State", "状态", required=True),
        _time("used_at", "Used", "使用时间"),
        _id("used_order_id", "Order it was used on", "使用订单"),
        _yuan("threshold_yuan", "Threshold; shown only, never a model input", "门槛；仅展示，不进模型"),
        _yuan("face_yuan", "Face value; shown only, never a model input", "面额；仅展示，不进模型"),
        _str("source", "Source", "来源"),
        _UPDATED,
    ),
    "Coupons of members.",
    "会员的券。",
    "reminding of coupons that expire",
    "券到期提醒",
)

_CONSENTS = TableSpec(
    "consents",
    ("member_id", "purpose", "at"),
    (
        _id("member_id", "Member", "会员", required=True),
        _enum("purpose", PURPOSES, "Purpose", "用途", required=True),
        _enum("state", "granted refused withdrawn", "State from then on", "此后的状态", required=True),
        _time("at", "When", "时间", required=True),
        _str("policy_version", "Version of the policy shown", "隐私政策版本"),
        _id("evidence_ref", "Where the evidence is", "凭证编号"),
        _str("source", "Source", "来源"),
    ),
    "What members allowed and refused, as it happened.",
    "会员的授权与拒绝，按发生顺序。",
    "contact lists",
    "导购联系清单",
)

_DELETIONS = TableSpec(
    "deletions",
    ("member_id", "requested_at"),
    (
        _id("member_id", "Member", "会员", required=True),
        _time("requested_at", "When it was asked for", "申请时间", required=True),
    ),
    "Requests to be forgotten.",
    "删除申请。",
    "requests to be forgotten",
    "会员删除申请",
)

SCHEMA: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        _MEMBERS,
        _IDENTITIES,
        _ORDERS,
        _ORDER_LINES,
        _ITEMS,
        _STORES,
        _GUIDES,
        _ASSIGNMENTS,
        _STOCK,
        _CALENDAR,
        _BEHAVIOURS,
        _CONTACTS,
        _CAMPAIGNS,
        _CAMPAIGN_MEMBERS,
        _COUPONS,
        _CONSENTS,
        _DELETIONS,
    )
}

# Without these four nothing can be learned; every other table improves something.
CORE_TABLES = ("members", "orders", "order_lines", "items")
SCHEMA_VERSION = "1"
