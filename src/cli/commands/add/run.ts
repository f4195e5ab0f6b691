import { type InstallOptions, installOptionsOf } from '../../../hosts/connect.js'
import { redactText, renderDiff } from '../../../hosts/diff.js'
import { brokenFile, EditError, type Merged } from '../../../hosts/edit-error.js'
import { type HostFile, merge, readHostFile, writeHostFile } from '../../../hosts/host-file.js'
import { type AddPlan, planAdd } from '../../../usecases/add-to-host/plan.js'
import type { AddFlags } from '../../../usecases/inputs.js'
import { createColors } from '../../../util/colors.js'
import { ProxyError } from '../../../util/errors.js'
import type { Runtime } from '../../../util/runtime.js'

/** A user's own file may hold secrets of other servers; a project's file is for everybody. */
const MODES = { user: 0o600, project: 0o644 }

/**
 * Prints the entry for a host's file, or writes it there.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID`; then nothing was written.
 */
export async function addToHost(
  runtime: Runtime,
  hostName: string,
  argument: string | undefined,
  flags: AddFlags,
): Promise<void> {
  const { io } = runtime
  const plan = await planAdd(runtime, hostName, argument, flags)
  const { host, name, entry, notes } = plan
  const options = installOptionsOf(runtime, host, name, entry, { project: flags.project ?? false })
  if (!flags.write && !flags.dryRun) {
    if (flags.json) io.out(reportOf(plan, options))
    else printOptions(runtime, plan, options)
    printNotes(runtime, notes)
    return
  }
  const file = await readHostFile(plan.path, MODES[flags.project ? 'project' : 'user'])
  const { text, outcome } = await mergeInto(file, plan, flags)
  const changed = outcome !== 'same'
  const diff = changed
    ? renderDiff(file.path, file.text, text, {
        before: (old) => redactText(old, host.format),
        after: (merged) => redactText(merged, host.format, { host, name, entry }),
      })
    : ''
  printDiff(runtime, diff)
  const write = changed && !flags.dryRun
  const backup = write ? await writeHostFile(file, text) : undefined
  if (flags.json) io.out(reportOf(plan, options, { written: write, changed, backup, diff }))
  else if (!flags.dryRun) io.out(`${file.path}\n`)
  printNotes(runtime, changed ? notes : [])
  if (!changed) io.err(`${host.title} has this server already.\n`)
  else if (!write) io.err('Nothing was written.\n')
  else {
    if (backup !== undefined) io.err(`The old file is ${backup}\n`)
    io.err(`Written. ${host.afterwards}\n`)
  }
}

async function mergeInto(file: HostFile, plan: AddPlan, flags: AddFlags): Promise<Merged> {
  const { host, name, entry, path } = plan
  try {
    const request = { host, name, entry, force: flags.force ?? false }
    const merged = await merge(file.text ?? '', request)
    if (merged.outcome !== 'taken') return merged
  } catch (error) {
    throw error instanceof EditError ? brokenFile(path, error.flaw) : error
  }
  throw new ProxyError('USAGE', `${path} has another server ${JSON.stringify(name)}`, {
    hint: 'Give `--force` to replace it, or another name with `--name <name>`.',
  })
}

function printDiff(runtime: Runtime, diff: string): void {
  const colors = createColors(runtime, 'err')
  const painted = diff.split('\n').map((line, at) => {
    if (at < 2) return colors.bold(line)
    if (line.startsWith('@@')) return colors.cyan(line)
    if (line.startsWith('+')) return colors.green(line)
    return line.startsWith('-') ? colors.red(line) : line
  })
  if (diff !== '') runtime.io.err(painted.join('\n'))
}

function printNotes(runtime: Runtime, notes: readonly string[]): void {
  const colors = createColors(runtime, 'err')
  for (const note of notes) runtime.io.err(`${colors.yellow('note:')} ${note}\n`)
}

/**
 * Prints the entry and what else does the same, for a person. stdout gets the entry alone, so that it
 * can be piped.
 */
function printOptions(
  runtime: Pick<Runtime, 'io' | 'env' | 'platform'>,
  { host, path }: AddPlan,
  { snippet, command, link }: InstallOptions,
): void {
  const { io, platform } = runtime
  const { bold } = createColors(runtime, 'err')
  const shell = platform === 'win32' ? ' in cmd.exe' : ''
  io.out(snippet)
  io.err(`\n${bold(`Add this to ${path}, for ${host.title}.`)}\n`)
  if (command !== undefined) io.err(`\n${bold(`Or run${shell}`)}\n\n${command}\n`)
  if (link !== undefined) io.err(`\n${bold('Or open')}\n\n${link}\n`)
  io.err('\nNothing was written: `--write` puts it there, `--dry-run` shows what would change.\n')
}

/** Renders the same for a script, with what was done. */
function reportOf(
  { host, name, path, notes }: AddPlan,
  { snippet, document, command, link }: InstallOptions,
  change?: { written: boolean; changed: boolean; backup: string | undefined; diff: string },
): string {
  const report = {
    host: host.id,
    name,
    file: path,
    format: host.format,
    snippet: document ?? snippet,
    ...(command !== undefined && { command }),
    ...(link !== undefined && { link }),
    notes,
    written: false,
    ...change,
  }
  return `${JSON.stringify(report)}\n`
}
