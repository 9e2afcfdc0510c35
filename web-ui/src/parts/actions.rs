//! Where a message leads: its attachments and its link actions. Only to `http` and `https`, in a window that
//! learns nothing about this one.

use crate::state::page;
use hongyan_wire::message::{ActionInfo, ActionStyle, ActionType, AttachmentInfo};
use leptos::prelude::*;

/// The address, if it leads where a message may lead. The server sees to that too; a page that follows links
/// does not rely on it.
fn safe(url: &str) -> Option<String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())?;
    matches!(scheme.as_str(), "http" | "https").then(|| url.to_owned())
}

#[component]
pub fn Attachments(attachments: Vec<AttachmentInfo>) -> impl IntoView {
    let state = page();
    let shown: Vec<_> = attachments.into_iter().filter_map(|a| safe(&a.url).map(|url| (url, a))).collect();
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
        .filter_map(|action| safe(&action.url).map(|url| (url, action)))
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

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn only_the_web_can_be_reached() {
        for good in ["https://a.example/x", "HTTP://a.example"] {
            assert_eq!(safe(good).as_deref(), Some(good));
        }
        for bad in
            ["javascript:alert(1)", "data:text/html,x", " https://a", "//a.example", "/x", "file:///etc", ""]
        {
            assert_eq!(safe(bad), None, "{bad}");
        }
    }
}
