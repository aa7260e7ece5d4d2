//! Sections of the routing document that are edited by plain forms: what stands in each, described once.

/// A section with its form.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name in the document and the API.
    pub(super) name: &'static str,
    /// What people call all of them, and one.
    pub(super) title: &'static str,
    pub(super) one: &'static str,
    /// What it is for.
    pub(super) words: &'static str,
    pub(super) icon: &'static str,
    /// What its ids begin with.
    pub(super) prefix: &'static str,
    pub(super) groups: &'static [Group],
}

/// Fields that belong together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    /// Where it stands in the object, its steps parted by dots.
    pub(super) path: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// One line.
    Text,
    /// One line that must be there.
    Needed,
    /// A whole number.
    Number,
    /// A list, one a line.
    Lines,
    /// Yes or no; what it is when the document does not say.
    Tick(bool),
    /// One of these; the first is what it is when the document does not say.
    Choice(&'static [(&'static str, &'static str)]),
    /// Anything, as JSON.
    Json,
}

const fn field(path: &'static str, label: &'static str, kind: Kind, hint: &'static str) -> Field {
    Field { path, label, hint, kind }
}

const SECRET: &str = "Where the secret is: env:NAME or file:PATH. No document holds one.";
const SECRETS: &str =
    "Where the secrets are, one a line: env:NAME or file:PATH. Two, while one is changed for another.";

/// Every section that has such a form.
pub(super) const SECTIONS: [Section; 7] =
    [TRUNKS, PROVIDERS, CHAT_APPS, CONSUMERS, LISTS, CALENDARS, CHANNELS];

const TRUNKS: Section = Section {
    name: "trunks",
    title: "Trunks",
    one: "trunk",
    words: "SIP relations with carriers: who may call, and how numbers are called.",
    icon: "trunk",
    prefix: "tr_",
    groups: &[
        Group {
            title: "Trunk",
            fields: &[
                field("name", "Name", Kind::Needed, ""),
                field(
                    "allowed",
                    "Networks",
                    Kind::Lines,
                    "Where the carrier's signalling comes from, such as 203.0.113.0/24. Others are not answered.",
                ),
                field("codecs", "Codecs", Kind::Lines, "pcmu, pcma: the most wanted first."),
                field(
                    "trusted",
                    "Believe what it says of callers",
                    Kind::Tick(true),
                    "For a carrier; not for a customer's own exchange.",
                ),
                field(
                    "srtp",
                    "Encrypted media",
                    Kind::Choice(&[
                        ("allowed", "Where the carrier offers it"),
                        ("off", "Never"),
                        ("required", "Always"),
                    ]),
                    "",
                ),
            ],
        },
        Group {
            title: "Calls over it",
            fields: &[
                field(
                    "outbound.target",
                    "Address",
                    Kind::Text,
                    "sip:sbc.example.net:5060;transport=tcp. Empty: it only brings calls.",
                ),
                field("outbound.user", "User", Kind::Text, "If the carrier asks for a password."),
                field("outbound.secret", "Secret", Kind::Text, SECRET),
                field(
                    "outbound.ping",
                    "Ask now and then whether it is there",
                    Kind::Tick(true),
                    "By OPTIONS.",
                ),
            ],
        },
        Group {
            title: "Registration",
            fields: &[
                field(
                    "register.target",
                    "Registrar",
                    Kind::Text,
                    "sip:carrier.example.net. Empty: the carrier knows where we are.",
                ),
                field("register.user", "User", Kind::Text, ""),
                field("register.secret", "Secret", Kind::Text, SECRET),
                field("register.address", "Address", Kind::Text, "Where it is another than the user."),
                field("register.expires_seconds", "Ask for, seconds", Kind::Number, "3600 when empty."),
            ],
        },
        Group {
            title: "Proof and limits",
            fields: &[
                field(
                    "digest.user",
                    "User that the carrier proves",
                    Kind::Text,
                    "Empty: its address is enough.",
                ),
                field("digest.secret", "Secret", Kind::Text, SECRET),
                field(
                    "tls_identity",
                    "Name in its certificate",
                    Kind::Text,
                    "Calls come over TLS alone then.",
                ),
                field(
                    "calls_per_second_max",
                    "New calls a second",
                    Kind::Number,
                    "Further ones get 503. Empty: no limit of its own.",
                ),
                field("concurrent_max", "Calls at once", Kind::Number, "Of both directions."),
            ],
        },
    ],
};

const PROVIDERS: Section = Section {
    name: "providers",
    title: "Message providers",
    one: "provider",
    words: "Who sends SMS, social messages and mails by webhook, with the address to give them.",
    icon: "message",
    prefix: "",
    groups: &[
        Group {
            title: "Provider",
            fields: &[
                field("name", "Name", Kind::Needed, ""),
                field(
                    "kind",
                    "Kind",
                    Kind::Needed,
                    "Whose form and signatures its requests have, as the reference of providers names it.",
                ),
                field(
                    "url",
                    "Webhook address",
                    Kind::Needed,
                    "This gateway as the provider knows it: https://gw.example.com/webhooks/ and the id. Some providers sign it.",
                ),
                field("secrets", "Secrets", Kind::Lines, SECRETS),
                field("verify_token", "Verify token", Kind::Text, SECRET),
                field("account", "Account", Kind::Text, "Where its requests do not say to whom they are."),
            ],
        },
        Group {
            title: "Sending",
            fields: &[
                field("send.key", "Key", Kind::Text, SECRET),
                field(
                    "send.numbers",
                    "Numbers",
                    Kind::Lines,
                    "Ours that it sends for. Empty: all that no other provider names.",
                ),
                field("send.api", "Its API", Kind::Text, "Where it is not the provider's own."),
            ],
        },
    ],
};

const CHAT_APPS: Section = Section {
    name: "chat_apps",
    title: "Chat windows",
    one: "chat window",
    words: "Chats on your own pages: the snippet, where it may stand, hours and throttle.",
    icon: "message",
    prefix: "",
    groups: &[
        Group {
            title: "Window",
            fields: &[
                field("name", "Name", Kind::Needed, ""),
                field(
                    "origins",
                    "Pages",
                    Kind::Lines,
                    "https://www.example.com, or https://*.example.com for all below.",
                ),
                field("title", "Title", Kind::Text, "The words above the chat."),
                field("greeting", "Greeting", Kind::Text, "What a visitor reads first."),
                field("consent", "Consent", Kind::Text, "What a visitor agrees to by writing."),
            ],
        },
        Group {
            title: "Hours and throttle",
            fields: &[
                field("hours", "Calendar", Kind::Text, "The id of a calendar. Empty: always open."),
                field("closed_text", "When closed", Kind::Text, ""),
                field("hidden_when_closed", "Hide it when closed", Kind::Tick(false), ""),
                field(
                    "throttle.percent",
                    "Of a hundred visitors, so many",
                    Kind::Number,
                    "Empty: everybody.",
                ),
                field(
                    "throttle.wait_seconds",
                    "None while a chat waits longer, seconds",
                    Kind::Number,
                    "One of the two.",
                ),
            ],
        },
        Group {
            title: "Who visitors are",
            fields: &[
                field("identity.secrets", "Secrets", Kind::Lines, SECRETS),
                field("identity.required", "Refuse visitors without a token", Kind::Tick(false), ""),
            ],
        },
    ],
};

const CONSUMERS: Section = Section {
    name: "consumers",
    title: "Webhook consumers",
    one: "consumer",
    words: "Systems that are told of every event by signed requests.",
    icon: "bell",
    prefix: "",
    groups: &[Group {
        title: "Consumer",
        fields: &[
            field("name", "Name", Kind::Needed, ""),
            field("url", "Address", Kind::Needed, "https://agents.example.com/events"),
            field("secrets", "Secrets", Kind::Lines, SECRETS),
            field("types", "Events", Kind::Lines, "Such as contact.queued, one a line. Empty: all."),
            field("paused", "Pause", Kind::Tick(false), "Nothing is sent for now; it is made up for later."),
        ],
    }],
};

const LISTS: Section = Section {
    name: "lists",
    title: "Lists of callers",
    one: "list",
    words: "Blocked callers, and lists that IVRs look into.",
    icon: "ban",
    prefix: "",
    groups: &[Group {
        title: "List",
        fields: &[
            field("numbers", "Numbers", Kind::Lines, "Whole, with +, one a line."),
            field("prefixes", "Beginnings", Kind::Lines, "+4420: all numbers that begin so."),
            field("anonymous", "Callers without a number", Kind::Tick(false), ""),
        ],
    }],
};

const CALENDARS: Section = Section {
    name: "calendars",
    title: "Calendars",
    one: "calendar",
    words: "Hours that IVRs, chats and service levels share.",
    icon: "clock",
    prefix: "cal_",
    groups: &[Group {
        title: "Calendar",
        fields: &[field(
            "rows",
            "Rows, tried from the top",
            Kind::Json,
            "A list of rows, each with name, weekdays or dates, start, end and zone. An end at or before the start runs over midnight.",
        )],
    }],
};

const CHANNELS: Section = Section {
    name: "channels",
    title: "Channels",
    one: "channel",
    words: "The default inbox of each channel, for entry points without an exception.",
    icon: "door",
    prefix: "",
    groups: &[Group {
        title: "Channel",
        fields: &[field("inbox", "Default inbox", Kind::Needed, "The id of an inbox.")],
    }],
};
