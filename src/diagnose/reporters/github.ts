import type { CheckReport, Report } from '../check.js'

/**
 * Renders annotations for GitHub Actions: an error for each failure, a warning for each warning, a
 * notice for each failure that was expected.
 *
 * @see [GitHub, workflow commands](https://docs.github.com/actions/reference/workflow-commands-for-github-actions)
 */
export function renderAnnotations({ checks, target }: Report): string {
  return checks
    .filter(({ outcome }) => outcome === 'fail' || outcome === 'warn')
    .map(({ id, outcome, detail, hint, expected }) => {
      const kind = outcome === 'fail' ? 'error' : expected ? 'notice' : 'warning'
      const text = hint === null ? detail : `${detail}\n${hint}`
      return `::${kind} title=${property(`${id} (${target})`)}::${data(text)}\n`
    })
    .join('')
}

const MARKS = { pass: '✅', warn: '⚠️', fail: '❌', skip: '➖' } as const

/** Renders the table for the summary of a job. */
export function renderMarkdown(report: Report): string {
  const { checks, counts, target, protocolVersion } = report
  const version = protocolVersion === null ? '' : `, MCP ${protocolVersion}`
  const title = `### ${report.ok ? MARKS.pass : MARKS.fail} ${cell(target)}${version}`
  const numbers = `${counts.pass} passed, ${counts.fail} failed, ${counts.warn} warnings, ${counts.skip} skipped`
  const head = '| | check | seen | ms |\n|---|---|---|--:|'
  return [title, '', numbers, '', head, ...checks.map(row), '', ''].join('\n')
}

function row({ id, outcome, detail, hint, ms }: CheckReport): string {
  const seen = hint === null ? cell(detail) : `${cell(detail)}<br>${cell(hint)}`
  return `| ${MARKS[outcome]} | ${cell(id)} | ${seen} | ${ms} |`
}

/** Escapes text for a cell of a Markdown table. */
function cell(text: string): string {
  return text
    .replace(/[\r\n]+/g, ' ')
    .replace(/[\\`*_{}[\]<>|#!~]/g, (mark) => (mark === '<' ? '&lt;' : `\\${mark}`))
}

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
