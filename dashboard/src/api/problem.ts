// What the server says when it cannot or may not do something, as one kind of error.

export interface ProblemBody {
  title: string;
  status: number;
  detail: string;
  code: string;
  type?: string;
  field?: string | null;
  hint?: string | null;
  errors?: { field: string; detail: string; hint?: string | null }[];
}

export class ApiProblem extends Error {
  readonly body: ProblemBody;

  constructor(body: ProblemBody) {
    super(body.detail);
    this.name = "ApiProblem";
    this.body = body;
  }
}

/** The problem in an answer that was no success, whatever its body is. */
export function problemFrom(status: number, body: unknown): ApiProblem {
  if (typeof body === "object" && body !== null && "code" in body && "detail" in body) {
    return new ApiProblem({ title: `Status ${status}`, status, ...(body as object) } as ProblemBody);
  }
  const detail = typeof body === "string" && body !== "" ? body.slice(0, 300) : "The server gave no reason.";
  return new ApiProblem({ title: `The server answered ${status}`, status, detail, code: "unexpected_answer" });
}

/** Any error as a problem, so that one view can show them all. */
export function asProblem(error: unknown): ProblemBody {
  if (error instanceof ApiProblem) return error.body;
  const detail = error instanceof Error ? error.message : String(error);
  if (error instanceof TypeError) {
    return {
      title: "The server does not answer",
      status: 0,
      detail,
      code: "unreachable",
      hint: "See whether `univrs up` still runs; the page tries again by itself.",
    };
  }
  return { title: "Something failed in this page", status: 0, detail, code: "page_failed" };
}
