//! Where a message may lead: to the web, and nowhere else.

/// The address, if it is one of `http` or `https`. The server sees to that too; whoever follows links does
/// not rely on it.
pub fn safe(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn only_the_web_can_be_reached() {
        for good in ["https://a.example/x", "HTTP://a.example"] {
            assert_eq!(safe(good), Some(good));
        }
        for bad in
            ["javascript:alert(1)", "data:text/html,x", " https://a", "//a.example", "/x", "file:///etc", ""]
        {
            assert_eq!(safe(bad), None, "{bad}");
        }
    }
}
