//! What a page says besides what is in the messages, in both languages.

use super::Language;

/// The words of one language.
pub struct Words {
    /// Of the page (RFC 5646).
    pub tag: &'static str,
    /// Takes whose they are.
    pub title: fn(&str) -> String,
    /// Takes a moment, and how many messages.
    pub lead: fn(&str, u64) -> String,
    /// Takes a year and a month, 1 to 12.
    pub month: fn(&str, &str) -> String,
    pub read: &'static str,
    pub unread: &'static str,
    pub attachments: &'static str,
    pub actions: &'static str,
    /// Takes what was pressed, and by whom.
    pub pressed: fn(&str, &str) -> String,
    pub empty: &'static str,
}

impl Language {
    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::En => &EN,
            Self::Zh => &ZH,
        }
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

static EN: Words = Words {
    tag: "en",
    title: |who| format!("Messages of {who}"),
    lead: |at, messages| {
        let noun = if messages == 1 { "message" } else { "messages" };
        format!("{messages} {noun}, as of {at} UTC")
    },
    month: |year, month| {
        let name = month.parse::<usize>().ok().and_then(|n| MONTHS.get(n.wrapping_sub(1)));
        format!("{} {year}", name.copied().unwrap_or(month))
    },
    read: "read",
    unread: "unread",
    attachments: "Attachments",
    actions: "Actions",
    pressed: |what, who| {
        if who.is_empty() { format!("Answered: {what}") } else { format!("Answered: {what} ({who})") }
    },
    empty: "There are no messages.",
};

static ZH: Words = Words {
    tag: "zh-CN",
    title: |who| format!("{who} 的消息"),
    lead: |at, messages| format!("共 {messages} 条消息，截至 {at} UTC"),
    month: |year, month| format!("{year} 年 {} 月", month.trim_start_matches('0')),
    read: "已读",
    unread: "未读",
    attachments: "附件",
    actions: "操作",
    pressed: |what, who| {
        if who.is_empty() { format!("已回答：{what}") } else { format!("已回答：{what}（{who}）") }
    },
    empty: "没有消息。",
};
