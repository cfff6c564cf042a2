//! Reading the folder of the viewer at start: which files there are, and what the strict policy must allow.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderValue;

use crate::limits;

/// The page that is the program.
const INDEX: &str = "index.html";

/// Files of the package that load from other hosts or are replaced by ours.
const LEFT_OUT: [&str; 3] = ["app-config.js", "google.js", "silent-refresh.html"];

/// The files of the viewer.
#[derive(Debug)]
pub struct Viewer {
    files: HashMap<String, Arc<File>>,
    index: Index,
    policy: HeaderValue,
}

/// The page that is the program, kept in memory.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) html: Bytes,
    pub(super) tag: String,
}

/// Why a folder is no viewer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewerError {
    /// A file or folder cannot be read.
    #[error("the folder of the viewer cannot be read")]
    Io(#[from] std::io::Error),
    /// No index.html.
    #[error("the folder of the viewer holds no index.html")]
    NoIndex,
    /// More than [`limits::VIEWER_FILES`].
    #[error("the folder of the viewer holds too many files")]
    TooManyFiles,
    /// An index.html beyond [`limits::VIEWER_PAGE_BYTES`], or no UTF-8.
    #[error("the index.html of the viewer is no page")]
    BadIndex,
}

/// One file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) kind: &'static str,
    /// Whether the name changes with the content.
    pub(super) is_hashed: bool,
    pub(super) tag: String,
    /// The same file, compressed; best first.
    pub(super) codings: Vec<Coding>,
}

/// A compressed form of a file.
#[derive(Debug)]
pub(super) struct Coding {
    pub(super) kind: CodingKind,
    pub(super) path: PathBuf,
    pub(super) length: u64,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodingKind {
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl CodingKind {
    /// As in Content-Encoding.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl Viewer {
    /// Reads the folder. Links are not followed.
    ///
    /// # Errors
    /// [`ViewerError`].
    pub fn open(folder: &Path) -> Result<Self, ViewerError> {
        let mut found: HashMap<String, (PathBuf, fs::Metadata)> = HashMap::new();
        let mut folders = vec![(folder.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else { continue };
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    folders.push((entry.path(), format!("{name}/")));
                } else if metadata.is_file() && !LEFT_OUT.contains(&name.as_str()) {
                    found.insert(name, (entry.path(), metadata));
                }
                if found.len() + folders.len() > limits::VIEWER_FILES {
                    return Err(ViewerError::TooManyFiles);
                }
            }
        }
        let files: HashMap<String, Arc<File>> = found
            .iter()
            .filter(|(name, _)| !is_compressed_form(name, &found))
            .map(|(name, (path, metadata))| (name.clone(), Arc::new(File::new(name, path, metadata, &found))))
            .collect();
        let mut files = files;
        let page = files.remove(INDEX).ok_or(ViewerError::NoIndex)?;
        let html = read_page(&page)?;
        let policy = policy(&html)?;
        let tag = STANDARD.encode(digest(&SHA256, html.as_bytes()));
        Ok(Self { files, index: Index { html: html.into(), tag: format!("\"{tag}\"") }, policy })
    }

    /// The file at this place below `/viewer/`.
    pub(super) fn file(&self, name: &str) -> Option<&Arc<File>> {
        self.files.get(name)
    }

    /// The page, for all places within the program.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn policy(&self) -> &HeaderValue {
        &self.policy
    }
}

fn is_compressed_form(name: &str, found: &HashMap<String, (PathBuf, fs::Metadata)>) -> bool {
    [".br", ".gz"].iter().any(|suffix| name.strip_suffix(suffix).is_some_and(|plain| found.contains_key(plain)))
}

impl File {
    fn new(name: &str, path: &Path, metadata: &fs::Metadata, found: &HashMap<String, (PathBuf, fs::Metadata)>) -> Self {
        let seconds = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let codings = [(CodingKind::Brotli, "br"), (CodingKind::Gzip, "gz")]
            .into_iter()
            .filter_map(|(kind, suffix)| {
                let (path, metadata) = found.get(&format!("{name}.{suffix}"))?;
                Some(Coding { kind, path: path.clone(), length: metadata.len() })
            })
            .collect();
        Self {
            path: path.to_owned(),
            length: metadata.len(),
            kind: kind(name),
            is_hashed: is_hashed(name),
            tag: format!("{:x}-{:x}-", metadata.len(), seconds.map_or(0, |since| since.as_nanos())),
            codings,
        }
    }
}

/// The media type by the name's ending.
fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether a piece of the name is a digest: 8 or more hexadecimal digits, figures among them.
fn is_hashed(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    file.split(['.', '-', '_']).any(|piece| {
        piece.len() >= 8
            && piece.bytes().all(|byte| byte.is_ascii_hexdigit())
            && piece.bytes().any(|byte| byte.is_ascii_digit())
    })
}

fn read_page(page: &File) -> Result<String, ViewerError> {
    if page.length > limits::VIEWER_PAGE_BYTES {
        return Err(ViewerError::BadIndex);
    }
    let html = fs::read_to_string(&page.path).map_err(|_| ViewerError::BadIndex)?;
    Ok(without_manifests(&html))
}

/// Without links to manifests: browsers fetch those without the session, and the viewer is not to be installed anyway.
fn without_manifests(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find("<link") {
        let (before, link) = rest.split_at(start);
        let end = link.find('>').map_or(link.len(), |at| at + 1);
        let (link, behind) = link.split_at(end);
        out.push_str(before);
        if !link.contains("manifest") {
            out.push_str(link);
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The policy of all answers below `/viewer/`: our own files, and the inline scripts of the page by their digests.
fn policy(html: &str) -> Result<HeaderValue, ViewerError> {
    let hashes: String = inline_scripts(html)
        .into_iter()
        .map(|script| format!(" 'sha256-{}'", STANDARD.encode(digest(&SHA256, script.as_bytes()))))
        .collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'{hashes} 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' blob: data:; font-src 'self'; connect-src 'self' blob: data:; media-src 'self' blob:; \
         worker-src 'self' blob:; manifest-src 'self'; frame-src 'self' blob:; frame-ancestors 'none'; \
         form-action 'none'; base-uri 'none'; object-src 'none'"
    );
    HeaderValue::from_str(&policy).map_err(|_| ViewerError::BadIndex)
}

/// The text of all scripts without `src`, as a browser takes it.
fn inline_scripts(html: &str) -> Vec<&str> {
    let lower = html.to_ascii_lowercase();
    let mut scripts = Vec::new();
    let mut from = 0;
    while let Some(start) = lower.get(from..).and_then(|rest| rest.find("<script")).map(|at| from + at) {
        let Some(open) = lower.get(start..).and_then(|rest| rest.find('>')).map(|at| start + at) else { break };
        let Some(end) = lower.get(open..).and_then(|rest| rest.find("</script")).map(|at| open + at) else { break };
        let head = lower.get(start..open).unwrap_or_default();
        let text = html.get(open + 1..end).unwrap_or_default();
        let has_source = head.split_ascii_whitespace().any(|word| word.starts_with("src=") || word == "src");
        if !has_source && !text.is_empty() {
            scripts.push(text);
        }
        from = end;
    }
    scripts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_are_told_from_others() {
        for (name, expected) in [
            ("app.bundle.0a1b2c3d4e5f6a7b8c9d.js", true),
            ("1604.bundle.d3d8aa01.js", true),
            ("assets/0a1b2c3d4e.wasm", true),
            ("index.html", false),
            ("app.bundle.css", false),
            ("deadbeef.js", false),
            ("1604.js", false),
        ] {
            assert_eq!(is_hashed(name), expected, "{name}");
        }
    }

    #[test]
    fn inline_scripts_are_found() {
        let html = "<SCRIPT>a</SCRIPT><script src=\"x.js\"></script><script defer src=x></script>\
                    <script type=\"module\">\n b > c \n</script><script></script><script>open";
        assert_eq!(inline_scripts(html), ["a", "\n b > c \n"]);
    }

    #[test]
    fn links_to_manifests_are_left_out() {
        let html = "<link rel=\"icon\" href=x><link rel=\"manifest\" href=\"m.json\"><p>manifest</p><link";
        assert_eq!(without_manifests(html), "<link rel=\"icon\" href=x><p>manifest</p><link");
    }

    #[test]
    fn a_folder_becomes_a_table_and_a_policy() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("index.html", "<script>window.PUBLIC_URL='/viewer/'</script><script src=/viewer/app.js></script>"),
            ("app.js", "1"),
            ("app.js.gz", "gz"),
            ("app.js.br", "br"),
            ("lonely.gz", "x"),
            ("google.js", "x"),
            ("app-config.js", "x"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b.wasm"), "w").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.txt")).unwrap();
        let viewer = Viewer::open(folder.path()).unwrap();
        let mut names: Vec<&str> = viewer.files.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["a/b.wasm", "app.js", "lonely.gz"]);
        let codings: Vec<&str> =
            viewer.file("app.js").unwrap().codings.iter().map(|coding| coding.kind.name()).collect();
        assert_eq!(codings, ["br", "gzip"]);
        assert!(viewer.file("../secret").is_none());
        assert!(!viewer.index().html.is_empty());
        // printf "window.PUBLIC_URL='/viewer/'" | openssl dgst -sha256 -binary | base64
        let hash = STANDARD.encode(digest(&SHA256, b"window.PUBLIC_URL='/viewer/'"));
        let policy = viewer.policy().to_str().unwrap();
        assert!(policy.contains(&format!("script-src 'self' 'sha256-{hash}' 'wasm-unsafe-eval';")), "{policy}");
        assert!(!policy.contains("'unsafe-eval'"), "{policy}");
    }

    #[test]
    fn a_folder_without_a_page_is_no_viewer() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Viewer::open(folder.path()), Err(ViewerError::NoIndex)));
        assert!(matches!(Viewer::open(&folder.path().join("none")), Err(ViewerError::Io(_))));
    }
}
