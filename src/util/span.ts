/** What a span is marked with, under OpenTelemetry's names where it has one. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>

/** A named stretch of the time that a request takes, as OpenTelemetry has it. */
export interface TraceSpan {
  /** 32 hexadecimal digits, the same for all spans of a request. */
  readonly traceId: string
  /** `traceparent` and `tracestate` for requests made within the span: names and values in turn. */
  readonly headers: readonly string[]
  /** Starts a span within this one; `client` for a request to another service. */
  start(name: string, kind?: 'client'): TraceSpan
  /**
   * Ends the span; once.
   *
   * @param error A stable word, when it ended badly.
   */
  end(attributes?: SpanAttributes, error?: string): void
}
