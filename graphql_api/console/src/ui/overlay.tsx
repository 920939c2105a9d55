// What lies above the page: menus, which the browser places and closes, and dialogs, which keep the focus inside.
import { type ReactNode, useEffect, useId, useRef } from "react";
import { Icon, type IconName } from "./icon.tsx";

interface MenuProps {
  /** Of the button; without it, `aria-label` names the button. */
  label?: ReactNode;
  icon?: IconName;
  title?: string;
  className?: string;
  children: ReactNode;
}

/** A button and the menu that it opens; a click on an item, beside it, or Esc closes it. Items in a `data-stay` leave it open. */
export function Menu({ label, icon, title, className = "btn", children }: MenuProps) {
  const id = useId();
  const menu = useRef<HTMLDivElement>(null);
  return (
    <>
      <button type="button" className={className} popoverTarget={id} aria-label={label ? undefined : title} title={title}>
        {icon && <Icon name={icon} />}
        {label}
      </button>
      <div ref={menu} className="menu" id={id} popover="auto" onClick={({ target }) => (target as Element).closest("[data-stay]") || menu.current?.hidePopover()}>
        {children}
      </div>
    </>
  );
}

interface DialogProps {
  title: string;
  /** Called when the dialog is closed in any way: Esc, a click beside it, a button. The parent then renders no dialog. */
  onClose(): void;
  children: ReactNode;
  /** Buttons, the harmless one first. */
  actions: ReactNode;
}

/** A modal dialog that is open as long as it is rendered. Where the focus was, it returns to. */
export function Dialog({ title, onClose, children, actions }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={id} onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <div>
        <h2 id={id}>{title}</h2>
        {children}
      </div>
      <footer>{actions}</footer>
    </dialog>
  );
}
