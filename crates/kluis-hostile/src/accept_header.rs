//! Accept headers and media types (RFC 9110 8.3.1, PS3.18 8.7): bounded, and what is chosen was offered and asked for.

use kluis_dicomweb::{
    accept::{Accept, AcceptError, Offer},
    frame_list, limits,
    media_type::MediaType,
};

use crate::input::Input;

/// `header line | parameter, or nothing`
pub fn accept_header(data: &[u8]) {
    let mut input = Input(data);
    let header = String::from_utf8_lossy(input.line()).into_owned();
    let parameter = (!input.is_empty()).then(|| String::from_utf8_lossy(input.0).into_owned());
    for text in [Some(&header), parameter.as_ref()].into_iter().flatten() {
        media_type(text);
        frames(text);
    }
    let accept = Accept::parse(Some(&header), parameter.as_deref());
    assert_eq!(Accept::parse(None, parameter.as_deref()), Err(AcceptError::Missing));
    let Ok(accept) = accept else { return };
    let text = parameter.as_ref().unwrap_or(&header);
    assert!(text.len() <= limits::ACCEPT_BYTES);
    for offers in
        [instance(), frame(), vec![Offer::single("application/dicom+json"), Offer::single("application/json")]]
    {
        let chosen = accept.choose(&offers);
        assert!(chosen.is_none_or(|chosen| offers.contains(chosen)));
        assert_eq!(accept.choose(&[]), None);
        // one offer less, and not the chosen one: the choice stays
        if let Some(chosen) = chosen {
            let fewer: Vec<Offer> = offers.iter().filter(|offer| *offer == chosen).cloned().collect();
            assert_eq!(accept.choose(&fewer), fewer.first());
        }
        for offer in &offers {
            if chosen.is_none() {
                assert_eq!(
                    accept.choose(std::slice::from_ref(offer)),
                    None,
                    "an offer alone is taken, among others it is not"
                );
            }
        }
    }
}

fn instance() -> Vec<Offer> {
    vec![
        Offer::multipart("application/dicom").in_syntax("1.2.840.10008.1.2.1", true),
        Offer::single("application/dicom").in_syntax("1.2.840.10008.1.2.1", true),
    ]
}

fn frame() -> Vec<Offer> {
    vec![
        Offer::multipart("image/jp2").in_syntax("1.2.840.10008.1.2.4.90", true),
        Offer::single("image/jp2").in_syntax("1.2.840.10008.1.2.4.90", true),
        Offer::multipart("application/octet-stream").in_syntax("1.2.840.10008.1.2.4.90", false),
    ]
}

/// A media type with its values in quotes is the same media type.
fn media_type(text: &str) {
    let Some(media) = MediaType::parse(text) else { return };
    assert!(media.parameters.len() <= limits::MEDIA_TYPE_PARAMETERS);
    assert!(media.is(&format!("{}/{}", media.top, media.sub)));
    let mut quoted = format!("{}/{}", media.top, media.sub);
    for (name, value) in &media.parameters {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        quoted.push_str(&format!("; {name}=\"{value}\""));
    }
    assert_eq!(MediaType::parse(&quoted), Some(media), "in quotes it is another media type");
}

fn frames(text: &str) {
    let Ok(frames) = frame_list::parse(text) else { return };
    assert!(frames.len() <= limits::FRAME_LIST && frames.iter().all(|frame| *frame > 0));
    let again: Vec<String> = frames.iter().map(u32::to_string).collect();
    assert_eq!(frame_list::parse(&again.join(",")), Ok(frames));
}
