/* How results of the search are ordered: pages that explain come before those that list, and notes of changes last.
 * All but `score` is as in Sphinx's searchtools.js, which takes this whole instead of its own. */
const PLACES = [
  [/^guide\//, 20],
  [/^(index|start)$/, 15],
  [/^auto_gallery\//, 3],
  [/^background\/experiment/, -5],
  [/^background\//, 8],
  [/^development\/contributing$/, 0],
  [/^development\//, -20],
  [/^generated\/inside\//, -25],
  [/^generated\//, 6],
];

var Scorer = {
  score: ([page, title, anchor, description, score]) => {
    const place = PLACES.find(([pattern]) => pattern.test(page));
    return score + (place ? place[1] : 0);
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
