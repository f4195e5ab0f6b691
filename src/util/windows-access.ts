/** Runs a program to its end; tells whether it went well. */
export type Attempt = (command: string, args: readonly string[]) => Promise<boolean>

/**
 * Lets only its owner into a folder, on Windows. A folder that stays as it was is as private as the
 * one around it, and in the profile of a user that is private.
 *
 * @see [icacls](https://learn.microsoft.com/windows-server/administration/windows-commands/icacls)
 */
export async function restrictToOwner(
  path: string,
  owner: string,
  attempt: Attempt = runProgram,
): Promise<void> {
  const isGranted = await attempt('icacls', [path, '/grant:r', `${owner}:(OI)(CI)F`, '/q'])
  // only then, so that nobody is shut out whose name it does not know
  if (isGranted) await attempt('icacls', [path, '/inheritance:r', '/q'])
}

async function runProgram(command: string, args: readonly string[]): Promise<boolean> {
  const { execFile } = await import('node:child_process')
  return new Promise((resolve) => {
    execFile(command, [...args], { windowsHide: true, timeout: 3_000 }, (error) =>
      resolve(error === null),
    )
  })
}
