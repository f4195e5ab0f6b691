import { accessSync, appendFileSync, constants, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { CheckReport, Report } from '../diagnose/check.js'
import { renderAnnotations, renderMarkdown } from '../diagnose/reporters/github.js'
import { renderJunit } from '../diagnose/reporters/junit.js'
import {
  gatherSkipped,
  renderCheck,
  renderSummary,
  type TextStyle,
} from '../diagnose/reporters/text.js'
import type { CheckFlags, WantedReporter } from '../usecases/inputs.js'
import type { CheckOptions } from '../usecases/test-target/test-target.js'
import { createColors } from '../util/colors.js'
import { ProxyError } from '../util/errors.js'
import { fileErrorCode } from '../util/private-files.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'

export interface Reporter extends Required<Pick<CheckOptions, 'onStart' | 'onReport'>> {
  finish(report: Report): void
}

/**
 * Creates the reporter of the checks. If a document goes to stdout, text and annotations go to stderr.
 *
 * @throws {ProxyError} `USAGE` before anything is checked, when a report cannot be written.
 */
export function createReporter(
  runtime: Runtime,
  { reporter, json = false }: Pick<CheckFlags, 'reporter' | 'json'>,
): Reporter {
  const { io, clock } = runtime
  const began = clock.now()
  const wanted: readonly WantedReporter[] = json ? withJson(reporter) : reporter
  prepareFiles(runtime, wanted)
  const ownsStdout = wanted.some(({ kind, file }) => isDocument(kind) && file === undefined)
  const to = ownsStdout ? 'err' : 'out'
  const isTty = ownsStdout ? io.errIsTty : io.outIsTty
  const colors = createColors(runtime, to)
  const style: TextStyle = { colors, marks: isTty, columns: isTty ? io.columns : 110 }
  const hasText = wanted.some(({ kind }) => kind === 'default')
  const say = (text: string) => (ownsStdout ? io.err(text) : io.out(text))
  let skipped: readonly CheckReport[] = []
  const tell = (next: CheckReport | undefined) => {
    const { ready, held } = gatherSkipped(skipped, next)
    skipped = held
    for (const report of ready) say(renderCheck(report, style))
  }
  return {
    onStart({ url, profile, access, target }) {
      if (!hasText) return
      const name = url.endsWith(`//${target}`) ? '' : `target ${target}   `
      say(`${colors.bold(`${PRODUCT} ${VERSION}`)}   ${name}${colors.cyan(url)}\n`)
      say(colors.dim(`profile ${profile}   credential: ${access}\n\n`))
    },
    onReport(report) {
      if (hasText) tell(report)
    },
    finish(report) {
      const totalMs = clock.now() - began
      if (hasText) tell(undefined)
      if (hasText) say(renderSummary(report, totalMs, style))
      for (const { kind, file } of wanted) {
        if (kind === 'json') io.out(`${JSON.stringify(report)}\n`)
        if (kind === 'github') reportToGithub(runtime, report, say)
        if (kind !== 'junit') continue
        const xml = renderJunit(report, totalMs, began)
        if (file === undefined) io.out(xml)
        else writeReport(() => writeFileSync(resolve(runtime.cwd, file), xml), file)
      }
    },
  }
}

const isDocument = (kind: WantedReporter['kind']) => kind === 'json' || kind === 'junit'

/** Replaces the text on stdout by JSON, and keeps reports to files and GitHub. */
function withJson(reporters: readonly WantedReporter[]): WantedReporter[] {
  const others = reporters.filter(({ kind, file }) => kind === 'github' || file !== undefined)
  return [{ kind: 'json', file: undefined }, ...others]
}

function reportToGithub({ env }: Runtime, report: Report, say: (text: string) => void): void {
  say(renderAnnotations(report))
  const file = env['GITHUB_STEP_SUMMARY']
  if (file) writeReport(() => appendFileSync(file, renderMarkdown(report)), file)
}

/** Creates the folders of reports, and makes sure before the checks that the files can be written. */
function prepareFiles({ cwd, env }: Runtime, wanted: readonly WantedReporter[]): void {
  const summary = wanted.some(({ kind }) => kind === 'github') ? env['GITHUB_STEP_SUMMARY'] : ''
  for (const file of [...wanted.map(({ file }) => file), summary]) {
    if (!file) continue
    const path = resolve(cwd, file)
    writeReport(() => {
      mkdirSync(dirname(path), { recursive: true })
      const isThere = statSync(path, { throwIfNoEntry: false })
      if (isThere?.isDirectory() || file.endsWith('/'))
        throw Object.assign(new Error(path), { code: 'EISDIR' })
      accessSync(isThere === undefined ? dirname(path) : path, constants.W_OK)
    }, file)
  }
}

function writeReport(write: () => void, file: string): void {
  try {
    write()
  } catch (cause) {
    const why = fileErrorCode(cause) ?? 'unknown reason'
    throw new ProxyError('USAGE', `Cannot write the report to ${file} (${why})`, {
      hint: 'Name a file in a folder that you may write to.',
      cause,
    })
  }
}
