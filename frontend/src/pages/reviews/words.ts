export const REVIEW_WORD: Record<string, string> = { new: "New", questioned: "Questioned", accepted: "Accepted" };

/** What a person did with a run, by the trail's name for it. */
export const ACT_WORD: Record<string, string> = {
  "run.request": "asked for the run",
  "run.refused": "asked for it, and was refused",
  "run.pause": "paused it",
  "run.resume": "let it go on",
  "run.cancel": "cancelled it",
  "approval.request": "asked for a forced promotion",
  "approval.ask": "asked or answered",
  "approval.yes": "said yes to it",
  "approval.approve": "gave the last yes that was needed",
  "approval.break_glass": "went on alone, with nobody's yes",
  "approval.decline": "said no to it",
  "approval.make_void": "ended the request: taken back, or what it rested on had changed",
  "approval.refused": "tried to decide, and was refused",
  "step.retry": "had a step tried again",
  "step.skip": "took a step out",
};

/** What somebody said to an approval. */
export const VOICE_WORD: Record<string, string> = { yes: "yes", no: "no", glass: "went on alone" };
