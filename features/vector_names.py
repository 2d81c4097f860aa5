"""The names of the columns of a member vector, in order; out: a list that costs no import of the library of tables.

The columns themselves, with units and meanings, stand in `features.vectors.COLUMNS`; a test holds the two together.
"""

# fmt: off
NAMES: tuple[str, ...] = (
    "recency_days", "visits", "repeat_visits", "orders", "tenure_days", "first_to_last_days", "gap_mean_days",
    "gap_std_days", "gap_median_days", "gap_min_days", "gap_max_days", "gap_last_days", "gap_before_last_days",
    "gap_cv", "gap_shrunk_days", "recency_over_gap", "recency_over_gap_max", "visits_30d", "visits_60d",
    "visits_90d", "visits_180d", "visits_365d", "visits_weighted", "visits_per_30d", "spend_total_yuan",
    "spend_mean_yuan", "spend_median_yuan", "spend_std_yuan", "spend_max_yuan", "last_visit_spend_yuan",
    "spend_30d_yuan", "spend_60d_yuan", "spend_90d_yuan", "spend_180d_yuan", "spend_365d_yuan",
    "spend_mean_365d_yuan", "items_distinct", "new_items_90d", "new_items_365d", "categories_distinct",
    "basket_mean_items", "last_visit_items", "pieces_365d", "repeat_line_share", "last_visit_new_share",
    "visits_trend_30d", "visits_trend_90d", "visits_trend_180d", "spend_recent_share", "gap_trend", "basket_trend",
    "spend_last_over_mean", "pace_365d", "days_to_festival", "days_to_spring_festival", "days_to_sale_festival",
    "year_sine", "year_cosine", "season_visits", "season_spend_yuan", "festive_share", "weekend_share",
    "evening_share", "online_share", "online_share_365d", "last_visit_online", "stores_distinct", "guide_share",
    "member_days", "first_visit_wait_days", "level_order", "level_paid", "points_balance", "age_years",
    "was_referred", "returns_lines", "returns_lines_365d", "returned_yuan", "returned_365d_yuan",
    "return_recency_days", "returns_per_visit", "event_recency_days", "active_days_30d", "active_days_90d",
    "events_30d", "views_30d", "intents_30d", "searches_30d", "contact_recency_days", "contacts_30d",
    "contacts_90d", "answered_365d", "refused_365d", "answer_share", "has_guide", "is_friend", "friend_days",
    "coupons_open", "coupon_end_days", "coupon_recency_days",
)
# fmt: on
