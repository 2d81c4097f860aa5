"""Why an item is on a list: codes that travel as uint8, with a Chinese and an English sentence each.

{item} is the title of the own item the reason speaks of, {days} the days until an item is used up.
"""

REASONS: tuple[dict[str, str], ...] = (
    {"code": "none", "zh": "", "en": ""},
    {"code": "bought_before", "zh": "买过的商品", "en": "Bought before"},
    {"code": "due", "zh": "到期复购，约{days}天后用完", "en": "Due again in about {days} days"},
    {"code": "because_bought", "zh": "因为买过{item}", "en": "Because of {item}"},
    {"code": "together", "zh": "常与{item}一起买", "en": "Often bought together with {item}"},
    {"code": "similar_members", "zh": "购买习惯相近的会员也在买", "en": "Members with similar baskets buy it"},
    {"code": "store_popular", "zh": "同店热卖", "en": "Popular in the store"},
    {"code": "level_popular", "zh": "同等级会员热卖", "en": "Popular at the same membership level"},
    {"code": "popular", "zh": "本品牌热卖", "en": "Popular in the brand"},
    {"code": "new_arrival", "zh": "新品，与买过的{item}相近", "en": "New, and close to {item}"},
    {"code": "explore", "zh": "换个新鲜的试试", "en": "Something new to try"},
)

(
    NO_REASON,
    BOUGHT_BEFORE,
    DUE,
    BECAUSE_BOUGHT,
    TOGETHER,
    SIMILAR_MEMBERS,
    STORE_POPULAR,
    LEVEL_POPULAR,
    POPULAR,
    NEW_ARRIVAL,
    EXPLORE,
) = range(len(REASONS))
