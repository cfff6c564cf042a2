use kluis_dicom::{
    VR,
    query::Agreed,
    worklist::{START_TIME, first_text, items},
};
use serde_json::json;
use time::Duration;

use super::*;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn store() -> (tempfile::TempDir, SqliteWorklist) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteWorklist::open(&folder.path().join("worklist.db"), &[7; 32]).unwrap();
    (folder, store)
}

fn entry(number: u32, station: &str, date: &str, time: &str) -> Entry {
    let attributes = json!({
        "00100010": { "vr": "PN", "Value": [{ "Alphabetic": format!("Patient^{number}") }] },
        "00100020": { "vr": "LO", "Value": [format!("P{number}")] },
        "0020000D": { "vr": "UI", "Value": [format!("1.2.{number}")] },
        "00401001": { "vr": "SH", "Value": ["R"] },
        "00400100": { "vr": "SQ", "Value": [{
            "00080060": { "vr": "CS", "Value": ["CT"] },
            "00400001": { "vr": "AE", "Value": [station, "SPARE"] },
            "00400002": { "vr": "DA", "Value": [date] },
            "00400003": { "vr": "TM", "Value": [time] },
            "00400009": { "vr": "SH", "Value": ["S"] },
        }] },
    });
    Entry::new(attributes.as_object().unwrap().clone()).unwrap()
}

fn key(tag: Tag, vr: VR, text: &str) -> Filter {
    let matching = Matching::from_text(tag, vr, text, Agreed::default()).unwrap();
    Filter { path: vec![STEP_SEQUENCE, tag], matching }
}

async fn ids(store: &SqliteWorklist, filters: &[Filter]) -> Vec<String> {
    let manner = Manner { combines_date_time: true, ..Manner::default() };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.search_entries(filters, manner, after, 2).await.unwrap();
        assert!(page.entries.len() <= 2);
        found.extend(page.entries.into_iter().map(|entry| entry.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

#[tokio::test]
async fn c38_entries_are_found_by_station_day_and_time_in_their_order() {
    let (_folder, store) = store();
    for (number, station, date, time) in [
        (1, "CT1", "20261124", "0800"),
        (2, "CT1", "20261123", "1700"),
        (3, "MR1", "20261123", "0900"),
        (4, "CT1", "20261123", "0900"),
        (5, "CT11", "20261125", "0900"),
    ] {
        let put = store.put_entry(number.to_string(), entry(number, station, date, time), NOW).await.unwrap();
        assert_eq!(put, EntryPut::Added);
    }
    let day = |text: &str| key(START_DATE, VR::DA, text);
    let time = |text: &str| key(START_TIME, VR::TM, text);
    let station = |text: &str| key(STATION_AE_TITLE, VR::AE, text);
    for (filters, expected) in [
        (vec![], vec!["3", "4", "2", "1", "5"]),
        (vec![station("CT1")], vec!["4", "2", "1"]),
        (vec![station("SPARE"), day("20261125-")], vec!["5"]),
        (vec![station("CT*")], vec!["4", "2", "1", "5"]),
        (vec![day("20261123")], vec!["3", "4", "2"]),
        (vec![day("-20261123")], vec!["3", "4", "2"]),
        (vec![day("20261123-20261124"), station("CT1")], vec!["4", "2", "1"]),
        // one range of moments: from ten on the 23rd to eight on the 24th
        (vec![day("20261123-20261124"), time("1000-0800")], vec!["2", "1"]),
        (vec![day("20261123"), time("0800-1000")], vec!["3", "4"]),
        (vec![station("NONE")], vec![]),
    ] {
        assert_eq!(ids(&store, &filters).await, expected, "{filters:?}");
    }
    let listed = store.entries(3, 10).await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["1", "5"]);
    assert!(store.entries(0, MAX_LIMIT + 1).await.is_err());
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_entry_of_the_same_step_takes_the_place_of_the_first() {
    let (folder, store) = store();
    store.put_entry("a".to_owned(), entry(1, "CT1", "20261123", "0900"), NOW).await.unwrap();
    let put = store.put_entry("b".to_owned(), entry(1, "CT2", "20261124", "0900"), NOW).await.unwrap();
    assert_eq!(put, EntryPut::Replaced { id: "a".to_owned() });
    assert_eq!(ids(&store, &[key(STATION_AE_TITLE, VR::AE, "CT2")]).await, ["a"]);
    assert!(store.entry("b").await.unwrap().is_none());
    assert_eq!(store.entry("a").await.unwrap().unwrap().attributes, entry(1, "CT2", "20261124", "0900").attributes);
    // what was answered is there when the file is opened again, and not without the key
    drop(store);
    let path = folder.path().join("worklist.db");
    assert!(matches!(SqliteWorklist::open(&path, &[8; 32]), Err(IndexError::WrongKey)));
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"Patient"));
    let store = SqliteWorklist::open(&path, &[7; 32]).unwrap();
    assert_eq!(store.entry("a").await.unwrap().unwrap().study, "1.2.1");
    assert!(store.remove_entry("a").await.unwrap());
    assert!(!store.remove_entry("a").await.unwrap());
    assert!(ids(&store, &[]).await.is_empty());
}

fn step(study: u32) -> NewStep {
    let study: Uid = format!("1.2.{study}").parse().unwrap();
    NewStep { study: study.clone(), scheduled: vec![(study, "S".to_owned())], attributes: Map::new() }
}

fn ending(state: StepState) -> StepChange {
    StepChange { state: Some(state), ..StepChange::default() }
}

async fn state(store: &SqliteWorklist) -> EntryState {
    store.entry("a").await.unwrap().unwrap().state
}

#[tokio::test]
async fn e05_steps_move_their_entry_on_and_end_for_good() {
    let (_folder, store) = store();
    store.put_entry("a".to_owned(), entry(1, "CT1", "20261123", "0900"), NOW).await.unwrap();
    let (first, second): (Uid, Uid) = ("2.1".parse().unwrap(), "2.2".parse().unwrap());
    assert_eq!(store.make_step(&first, step(1), "device:CT1", NOW).await.unwrap(), StepMade::Done);
    assert_eq!(store.make_step(&first, step(1), "device:CT1", NOW).await.unwrap(), StepMade::Exists);
    assert_eq!(state(&store).await, EntryState::Started);
    let page = store.search_entries(&[], Manner::default(), None, 1).await.unwrap();
    let shown = items(&page.entries[0].attributes, STEP_SEQUENCE).next().and_then(|step| first_text(step, STEP_STATUS));
    assert_eq!(shown.as_deref(), Some("STARTED"));

    // of another sender there is none
    let taken_over = store.change_step(&first, ending(StepState::Completed), "device:MR1", NOW).await.unwrap();
    assert_eq!(taken_over, StepChanged::Absent);
    assert_eq!(store.step_study(&first, "device:MR1").await.unwrap(), None);
    assert_eq!(store.step_study(&first, "device:CT1").await.unwrap(), Some("1.2.1".parse().unwrap()));

    // as long as one goes on, the entry is not done
    store.make_step(&second, step(1), "device:CT1", NOW).await.unwrap();
    let change = store.change_step(&first, ending(StepState::Discontinued), "device:CT1", NOW).await.unwrap();
    assert_eq!((change, state(&store).await), (StepChanged::Done, EntryState::Started));
    store.change_step(&second, StepChange::default(), "device:CT1", NOW).await.unwrap();
    assert_eq!(state(&store).await, EntryState::Started);
    store.change_step(&second, ending(StepState::Completed), "device:CT1", NOW).await.unwrap();
    assert_eq!(state(&store).await, EntryState::Completed);
    assert!(ids(&store, &[]).await.is_empty(), "what is done is no work");
    for uid in [&first, &second] {
        let again = store.change_step(uid, ending(StepState::InProgress), "device:CT1", NOW).await.unwrap();
        assert!(matches!(again, StepChanged::Ended(_)), "{again:?}");
    }

    // a long time later it goes with the next entry that comes
    let later = NOW + Duration::days(ENDED_ENTRY_DAYS + 1);
    store.put_entry("z".to_owned(), entry(9, "CT1", "20270101", "0900"), later).await.unwrap();
    assert!(store.entry("a").await.unwrap().is_none());
}

#[tokio::test]
async fn an_entry_that_was_selected_by_mistake_is_work_again() {
    let (_folder, store) = store();
    store.put_entry("a".to_owned(), entry(1, "CT1", "20261123", "0900"), NOW).await.unwrap();
    for (uid, is_wrong_entry, expected) in [
        ("2.1", false, EntryState::Discontinued),
        ("2.2", true, EntryState::Discontinued),
        ("2.3", true, EntryState::Scheduled),
    ] {
        if uid == "2.3" {
            store.remove_entry("a").await.unwrap();
            store.put_entry("a".to_owned(), entry(1, "CT1", "20261123", "0900"), NOW).await.unwrap();
        }
        let uid: Uid = uid.parse().unwrap();
        store.make_step(&uid, step(1), "device:CT1", NOW).await.unwrap();
        let change = StepChange { is_wrong_entry, ..ending(StepState::Discontinued) };
        store.change_step(&uid, change, "device:CT1", NOW).await.unwrap();
        assert_eq!(state(&store).await, expected, "{uid}");
    }
}

#[tokio::test]
async fn what_has_ended_and_gets_another_time_is_work_again() {
    let (_folder, store) = store();
    store.put_entry("a".to_owned(), entry(1, "CT1", "20261123", "0900"), NOW).await.unwrap();
    let uid: Uid = "2.1".parse().unwrap();
    store.make_step(&uid, step(1), "device:CT1", NOW).await.unwrap();
    store.change_step(&uid, ending(StepState::Discontinued), "device:CT1", NOW).await.unwrap();
    // the scheduler says the same again: nothing has changed
    store.put_entry("b".to_owned(), entry(1, "CT1", "20261123", "0900"), NOW).await.unwrap();
    assert_eq!(state(&store).await, EntryState::Discontinued);
    let later = NOW + Duration::days(ENDED_ENTRY_DAYS);
    store.put_entry("b".to_owned(), entry(1, "CT1", "20261124", "0900"), later).await.unwrap();
    assert_eq!(state(&store).await, EntryState::Scheduled);
    assert_eq!(ids(&store, &[]).await, ["a"]);
    // the step of before has nothing more to say about it
    store.make_step(&"2.2".parse().unwrap(), step(1), "device:CT1", later).await.unwrap();
    assert_eq!(state(&store).await, EntryState::Started);
}

#[tokio::test]
async fn an_entry_has_so_many_bytes() {
    let (_folder, store) = store();
    let mut long = entry(1, "CT1", "20261123", "0900");
    long.attributes.insert("00400400".to_owned(), json!({ "vr": "LT", "Value": ["x".repeat(MAX_ENTRY_BYTES)] }));
    assert_eq!(store.put_entry("a".to_owned(), long, NOW).await.unwrap(), EntryPut::TooLong);
    assert!(store.entries(0, 10).await.unwrap().is_empty());
}
