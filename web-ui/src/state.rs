//! What the page shows, as signals. The link writes what comes from the engine; parts only read that, and
//! write what belongs to the page alone: filter, open message, language.

use crate::route::Route;
use crate::words::{Language, Words};
use hongyan_client::engine::request::Changed;
use hongyan_client::engine::{Engine, Older, Shown, State as Connection};
use hongyan_wire::api::UnreadCount;
use hongyan_wire::backup::BackupJob;
use hongyan_wire::channel::Channel;
use hongyan_wire::profile::Profile;
use hongyan_wire::{ChannelId, MessageId, Timestamp};
use leptos::prelude::*;
use std::collections::BTreeMap;

/// Which messages are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filter {
    #[default]
    All,
    Unread,
    Channel(ChannelId),
}

/// Whether there is more of something on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum More {
    /// Nobody has asked yet.
    #[default]
    Unasked,
    Loading,
    Some,
    None,
    /// There is, but no more is shown here.
    Full,
    /// It was asked for and did not come.
    Failed,
}

/// Messages older than those that are held live, fetched for what is looked at: as they were when they came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beyond {
    pub filter: Filter,
    /// Newest first.
    pub messages: Vec<Shown>,
    pub more: More,
    /// Where it begins: after this message's moment and place everything is fetched.
    pub from: Option<(Timestamp, u64)>,
    /// How many were fetched and left out, as they stand before that.
    pub passed: usize,
}

/// A message that is open and not among those that are held live.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Single {
    #[default]
    None,
    Loading(MessageId),
    Found(Shown),
    /// It is not in the inbox, or could not be had.
    Missing(MessageId),
}

/// Everything that the page shows. Copied freely: it is only handles.
#[derive(Clone, Copy)]
pub struct PageState {
    pub language: RwSignal<Language>,
    pub profile: RwSignal<Option<Profile>>,
    pub signed_in: RwSignal<bool>,
    pub connection: RwSignal<Connection>,
    /// Newest first.
    pub messages: RwSignal<Vec<Shown>>,
    pub loaded: RwSignal<bool>,
    pub older: RwSignal<Older>,
    pub beyond: RwSignal<Beyond>,
    pub single: RwSignal<Single>,
    pub unread: RwSignal<UnreadCount>,
    pub unconfirmed: RwSignal<usize>,
    pub channels: RwSignal<Vec<Channel>>,
    /// The person's backups in the background, as far as they were heard of or looked up. Newest first.
    pub jobs: RwSignal<Vec<BackupJob>>,
    pub filter: RwSignal<Filter>,
    pub open: RwSignal<Option<MessageId>>,
    /// Which page is asked for.
    pub route: RwSignal<Route>,
    /// It is not known yet whether someone is signed in.
    pub is_asking: RwSignal<bool>,
    /// The person is asked to show once more who they are.
    pub is_confirming: RwSignal<bool>,
    /// Milliseconds since 1970, once a second.
    pub clock: RwSignal<i64>,
    /// What to add to our clock to have the server's.
    pub clock_offset: RwSignal<i64>,
}

impl PageState {
    pub fn new(now: i64) -> Self {
        Self {
            language: RwSignal::new(Language::preferred()),
            profile: RwSignal::new(None),
            signed_in: RwSignal::new(false),
            connection: RwSignal::new(Connection::SignedOut),
            messages: RwSignal::default(),
            loaded: RwSignal::new(false),
            older: RwSignal::new(Older::None),
            beyond: RwSignal::default(),
            single: RwSignal::default(),
            unread: RwSignal::default(),
            unconfirmed: RwSignal::new(0),
            channels: RwSignal::default(),
            jobs: RwSignal::default(),
            filter: RwSignal::default(),
            open: RwSignal::new(None),
            route: RwSignal::default(),
            is_asking: RwSignal::new(true),
            is_confirming: RwSignal::new(false),
            clock: RwSignal::new(now),
            clock_offset: RwSignal::new(0),
        }
    }

    /// The words of the chosen language; follows it.
    pub fn words(self) -> &'static Words {
        self.language.get().words()
    }

    /// Takes over what has changed in the engine.
    pub fn update(self, engine: &Engine, changed: Changed) {
        if changed.connection {
            set_if_new(self.connection, engine.state());
            set_if_new(self.loaded, engine.is_loaded());
            let now = Timestamp::from_millis(self.clock.get_untracked());
            set_if_new(self.clock_offset, engine.server_time(now).millis() - now.millis());
        }
        if changed.inbox {
            self.keep_evicted(&engine.messages());
            set_if_new(self.messages, engine.messages());
            set_if_new(self.older, engine.older());
            set_if_new(self.unread, engine.unread());
            set_if_new(self.unconfirmed, engine.unconfirmed());
            set_if_new(self.loaded, engine.is_loaded());
        }
    }

    /// What falls out of what is held live stays in view, if what is older is in view.
    fn keep_evicted(self, now: &[Shown]) {
        let is_in_view = self.beyond.with_untracked(|beyond| beyond.from.is_some());
        let Some(last) = now.last().filter(|_| is_in_view).map(|last| last.message.pos) else { return };
        let evicted: Vec<Shown> = self.messages.with_untracked(|before| {
            let is_evicted = |shown: &&Shown| before.len() <= now.len() && shown.message.pos < last;
            before.iter().filter(is_evicted).cloned().collect()
        });
        if !evicted.is_empty() {
            self.beyond.update(|beyond| {
                beyond.messages.splice(0..0, evicted);
            });
        }
    }

    /// Takes in how a backup in the background stands. What has ended goes on no more, whatever comes late.
    pub fn take_job(self, job: BackupJob) {
        self.jobs.update(|jobs| match jobs.iter_mut().find(|known| known.id == job.id) {
            Some(known) if known.state.is_ended() && !job.state.is_ended() => {}
            Some(known) => *known = job,
            None => {
                let at = jobs.partition_point(|known| known.id > job.id);
                jobs.insert(at, job);
            }
        });
    }

    /// Nobody is signed in any more: nothing of theirs stays.
    pub fn forget(self) {
        self.signed_in.set(false);
        self.profile.set(None);
        self.connection.set(Connection::SignedOut);
        self.messages.set(Vec::new());
        self.loaded.set(false);
        self.older.set(Older::None);
        self.beyond.set(Beyond::default());
        self.single.set(Single::None);
        self.unread.set(UnreadCount::default());
        self.unconfirmed.set(0);
        self.channels.set(Vec::new());
        self.jobs.set(Vec::new());
        self.filter.set(Filter::All);
    }

    /// The messages that the filter lets through. The open one stays where it is though it is read by now.
    pub fn listed(self) -> Vec<Shown> {
        let open = self.open.get();
        let passes = |filter: &Filter, shown: &Shown| match filter {
            Filter::All => true,
            Filter::Unread => !shown.is_read || open.as_ref() == Some(&shown.message.id),
            Filter::Channel(channel) => shown.message.channel_id.as_ref() == Some(channel),
        };
        let filter = self.filter.get();
        let mut listed: Vec<Shown> = self
            .messages
            .with(|messages| messages.iter().filter(|shown| passes(&filter, shown)).cloned().collect());
        let last = self.messages.with(|messages| messages.last().map_or(u64::MAX, |last| last.message.pos));
        self.beyond.with(|beyond| {
            if beyond.filter == filter {
                let older = beyond.messages.iter().filter(|shown| shown.message.pos < last);
                listed.extend(older.filter(|shown| passes(&filter, shown)).cloned());
            }
        });
        listed
    }

    /// What is known of messages older than those that are held live, for what is looked at.
    pub fn more_beyond(self) -> More {
        let filter = self.filter.get();
        self.beyond.with(|beyond| if beyond.filter == filter { beyond.more } else { More::Unasked })
    }

    /// Whether what the person looks at may be among the older messages that are not here yet.
    pub fn is_looking_for_older(self) -> bool {
        let is_missing = match self.filter.get() {
            Filter::All => false,
            Filter::Unread => self.unread.with(|unread| unread.total > 0) && self.listed().is_empty(),
            Filter::Channel(_) => self.listed().is_empty(),
        };
        let may_come = match self.older.get() {
            Older::Some | Older::Loading => true,
            Older::Full => matches!(self.more_beyond(), More::Unasked | More::Loading | More::Some),
            Older::None => false,
        };
        self.loaded.get() && may_come && is_missing
    }

    /// Notes what the person did to messages that are not held live.
    pub fn mark_beyond(self, id: &MessageId, is_read: bool) {
        let is_it = |shown: &Shown| shown.message.id == *id && shown.is_read != is_read;
        if self.beyond.with_untracked(|beyond| beyond.messages.iter().any(is_it)) {
            self.beyond.update(|beyond| {
                beyond
                    .messages
                    .iter_mut()
                    .filter(|shown| is_it(shown))
                    .for_each(|shown| shown.is_read = is_read);
            });
        }
        if self.single.with_untracked(|single| matches!(single, Single::Found(shown) if is_it(shown))) {
            self.single.update(|single| {
                if let Single::Found(shown) = single {
                    shown.is_read = is_read;
                }
            });
        }
    }

    /// Whether a message is held live.
    pub fn is_held(self, id: &MessageId) -> bool {
        self.messages.with_untracked(|messages| messages.iter().any(|shown| shown.message.id == *id))
    }

    /// The channels to choose from, by name: one's own, and those that messages name besides.
    pub fn named_channels(self) -> Vec<(ChannelId, String)> {
        let mut named: BTreeMap<ChannelId, String> = self.messages.with(|messages| {
            let ids = messages.iter().filter_map(|shown| shown.message.channel_id.clone());
            ids.map(|id| (id.clone(), id.to_string())).collect()
        });
        self.channels.with(|channels| {
            named.extend(channels.iter().map(|channel| (channel.id.clone(), channel.name.clone())));
        });
        let mut named: Vec<_> = named.into_iter().collect();
        named.sort_by(|(_, one), (_, other)| one.cmp(other));
        named
    }

    pub fn channel_name(self, id: &ChannelId) -> String {
        self.channels.with(|channels| {
            let found = channels.iter().find(|channel| channel.id == *id);
            found.map_or_else(|| id.to_string(), |channel| channel.name.clone())
        })
    }

    /// The message that has taken the place of the open one.
    pub fn successor_of_opened(self) -> Option<MessageId> {
        let open = self.open.get_untracked()?;
        self.messages.with_untracked(|messages| {
            let found = messages.iter().find(|shown| shown.message.replaces.as_ref() == Some(&open));
            found.map(|shown| shown.message.id.clone())
        })
    }

    /// The message that is open, if it is here.
    pub fn opened(self) -> Option<Shown> {
        let open = self.open.get()?;
        let among = |messages: &[Shown]| messages.iter().find(|shown| shown.message.id == open).cloned();
        self.messages
            .with(|messages| among(messages))
            .or_else(|| self.beyond.with(|beyond| among(&beyond.messages)))
            .or_else(|| {
                self.single.with(|single| match single {
                    Single::Found(shown) if shown.message.id == open => Some(shown.clone()),
                    _ => None,
                })
            })
    }
}

fn set_if_new<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|before| *before != value) {
        signal.set(value);
    }
}

/// The state of the page that a part is in.
pub fn page() -> PageState {
    expect_context::<PageState>()
}
