import type { CheckReport, Report } from '../check.js'

/**
 * Renders JUnit XML: one suite for the target, one case for each check. Warnings pass, with their
 * text as output; an expected failure counts as skipped.
 */
export function renderJunit(report: Report, totalMs: number, startedAt: number): string {
  const { checks, counts, target } = report
  const expected = checks.filter((check) => check.expected).length
  const numbers = {
    tests: checks.length,
    failures: counts.fail,
    errors: 0,
    skipped: counts.skip + expected,
    time: seconds(totalMs),
  }
  const suite = { name: target, ...numbers, timestamp: new Date(startedAt).toISOString() }
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'mcp-descope-proxy test-target', ...numbers })}>`,
    `  <testsuite${attributes(suite)}>`,
    ...checks.map((check) => renderCase(check, target)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function renderCase({ id, outcome, detail, hint, ms, expected }: CheckReport, target: string) {
  const start = `    <testcase${attributes({ classname: target, name: id, time: seconds(ms) })}`
  const text = xml(hint === null ? detail : `${detail}\n${hint}`)
  if (outcome === 'skip' || expected) {
    return `${start}>\n      <skipped${attributes({ message: detail })}/>\n    </testcase>`
  }
  if (outcome === 'fail') {
    return `${start}>\n      <failure${attributes({ message: detail, type: id })}>${text}</failure>\n    </testcase>`
  }
  return `${start}>\n      <system-out>${text}</system-out>\n    </testcase>`
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${xml(String(value)).replaceAll('\n', '&#10;')}"`)
    .join('')
}

const seconds = (ms: number) => (ms / 1_000).toFixed(3)

/** Escapes text, without the characters that XML 1.0 does not allow. */
function xml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
      .replace(/[\u0000-\u0008\u000b-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  )
}
