//! Where a message leads: its attachments and its link actions. Only to `http` and `https`, in a window that
//! learns nothing about this one.

use crate::state::page;
use hongyan_client::links::safe;
use hongyan_wire::message::{ActionInfo, ActionStyle, ActionType, AttachmentInfo};
use leptos::prelude::*;

#[component]
pub fn Attachments(attachments: Vec<AttachmentInfo>) -> impl IntoView {
    let state = page();
    let shown: Vec<_> =
        attachments.into_iter().filter_map(|a| safe(&a.url).map(str::to_owned).map(|url| (url, a))).collect();
    (!shown.is_empty()).then(|| {
        view! {
            <h3>{move || state.words().attachments}</h3>
            <ul class="attachments" data-testid="attachments">
                {shown
                    .into_iter()
                    .map(|(url, attachment)| {
                        let size = attachment.size;
                        view! {
                            <li>
                                <a href=url target="_blank" rel="noopener noreferrer">{attachment.name}</a>
                                {(size > 0)
                                    .then(|| view! { <span class="lead">{move || (state.words().size)(size)}</span> })}
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
        }
    })
}

#[component]
pub fn Actions(actions: Vec<ActionInfo>) -> impl IntoView {
    let links: Vec<_> = actions
        .into_iter()
        .filter(|action| action.action_type == ActionType::Link)
        .filter_map(|action| safe(&action.url).map(str::to_owned).map(|url| (url, action)))
        .collect();
    (!links.is_empty()).then(|| {
        view! {
            <p class="actions" data-testid="actions">
                {links
                    .into_iter()
                    .map(|(url, action)| {
                        let look = match action.style {
                            ActionStyle::Primary => "button primary",
                            ActionStyle::Secondary => "button",
                            ActionStyle::Danger => "button danger",
                        };
                        view! {
                            <a class=look href=url target="_blank" rel="noopener noreferrer">{action.text}</a>
                        }
                    })
                    .collect_view()}
            </p>
        }
    })
}
