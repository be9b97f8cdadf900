//! scratch
mod consent; mod coverage; mod proposal; mod table; mod transcript; mod words;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[1])?;
    let runs = transcript::read(&text)?;
    let mut rows = Vec::new();
    for run in &runs {
        for judged in consent::judge(run).judged { rows.push(table::Row { run: run.name(), judged }); }
    }
    std::fs::write(format!("{}/consent.md", args[2]), table::markdown(&rows)?)?;
    std::fs::write(format!("{}/consent.csv", args[2]), table::csv(&rows)?)?;
    let mut p = String::new();
    for run in &runs { let f = consent::judge(run); for q in &f.proposals { let d: Vec<_> = f.decisions.iter().filter(|d| d.proposal==q.at).collect(); p.push_str(&format!("{} [{}] own {:?} all {:?} amends {:?} res {:?} fl {:?} am {:?} cab {:?} -> {:?}\n     Q {:?}\n     A {:?}\n", run.name(), q.at, q.own_actions, q.actions, q.amends, q.terms.reservations, q.terms.flights, q.terms.amounts, q.terms.cabins, d.iter().map(|d| (d.at, d.answer)).collect::<Vec<_>>(), run.text(q.at).chars().rev().take(130).collect::<Vec<_>>().into_iter().rev().collect::<String>(), run.text(q.at+1).chars().take(200).collect::<String>() )); } }
    std::fs::write(format!("{}/proposals.txt", args[2]), p)?;
    Ok(())
}
