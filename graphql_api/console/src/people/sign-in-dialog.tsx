// Another key, or signing in where that is not needed, without leaving the page.
import { Dialog } from "../ui/overlay.tsx";
import { SignInForm } from "./sign-in-form.tsx";

export const SignInDialog = ({ onClose }: { onClose(): void }) => (
  <Dialog title="Sign in" onClose={onClose} actions={<button type="button" className="btn" onClick={onClose}>Close</button>}>
    <div className="stack">
      <SignInForm failure={undefined} onDone={onClose} />
    </div>
  </Dialog>
);
